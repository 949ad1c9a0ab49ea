package costs

import (
	"fmt"
	"math"
	"strings"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/sim"
)

// Usage is what the service is used for in a month.
type Usage struct {
	Users     float64
	Calls     float64 // that each user makes
	Signals   float64 // of a call, by both sides together
	Burst     int     // of them that one side sends at once: 1 to 100
	Hours     float64 // that each user is connected
	Heartbeat float64 // minutes between two pings
	Bytes     float64 // of a signal
	Frames    bool    // what a side sends at once goes in one frame: the JSON clients of this repository
}

// Default is a service with a thousand users who make two calls a day and are connected for eight hours of it.
var Default = Usage{Users: 1000, Calls: 60, Signals: 30, Burst: 10, Hours: 240, Heartbeat: 5, Bytes: 600}

const (
	hours   = 730 // of a month, as AWS counts
	session = 2   // hours that a connection lasts, API Gateway's limit
	worlds  = 200 // simulated ones in which a burst is measured

	keptItem = 80 // bytes that an item of history has around a message's data

	// What alarms look at, and all that functions can write, in one dimension.
	alarmMetrics, customMetrics = 22, 23
)

// row is something that happens, and how often.
type row struct {
	name  string
	work  Work
	times float64
}

// things are what a user meets.
func (u Usage) things() []row {
	return []row{
		{"message, alone", u.message(1), 1},
		{"the same, to a client that recovers", u.message(1).plus(1, u.kept()), 1},
		{fmt.Sprintf("message, one of %d at once", u.Burst), u.message(u.Burst), 1},
		{fmt.Sprintf("message, one of %d in a frame", u.Burst), u.framed().message(u.Burst), 1},
		{"connection, from beginning to end", connection, 1},
		{"connected hour, silent", u.hour(), 1},
		{"message of a backend", dispatched.work(), 1},
		{"question of a backend", asked.work(), 1},
		{"watch of a user", watch.work(), 1},
		{"user who comes or goes, for 50 who watch", announcement(50), 1},
	}
}

// month is what all users do in one, and what is there for them.
func (u Usage) month() []row {
	rows := []row{
		{"signals of calls", u.message(u.Burst), u.Users * u.Calls * u.Signals},
		{"heartbeats and minutes", u.hour(), u.Users * u.Hours},
		{"connecting and leaving", connection, u.Users * u.Hours / session},
		{"keepalive's rounds", u.round(), hours * 60 / u.Heartbeat},
		{"metrics, alarms, dashboard", Work{metrics: customMetrics * min(u.Users, 1), alarms: alarmMetrics, dashboards: 1}, 1},
	}
	all := row{"together", Work{}, 1}
	for _, r := range rows {
		all.work = all.work.plus(r.times, r.work)
	}
	return append(rows, all)
}

func (u Usage) framed() Usage {
	u.Frames = true
	return u
}

// message is one of so many that are sent at once. Where acks are posted, answers
// say nothing.
func (u Usage) message(burst int) Work {
	b := sim.Bursts{Messages: burst, Worlds: worlds, Bytes: int(u.Bytes), JSON: u.Frames, Batches: u.Frames}.Measure()
	size := u.Bytes + envelope
	frames := 1.0 // that came, and were answered
	if u.Frames {
		most := min(signal.MaxBatch, max(1, math.Floor(signal.MaxBatchBytes/size)))
		frames = math.Ceil(float64(burst)/most) / float64(burst)
	}
	return Work{
		messages:    2*frames + b.Posts + 2*(math.Ceil(size/(32<<10))-1), // what came, and what was delivered
		invocations: frames,
		busy:        frames*ownTime + b.Busy.Seconds()*1000,
		writes:      b.WriteUnits,
		reads:       b.ReadUnits,
		logged:      frames * metricLine,
		sent:        max(1, b.Posts)*smallFrame + size,
	}
}

// kept is what a message costs besides, to a client that recovers: a write to history,
// and one to delete it.
func (u Usage) kept() Work {
	return Work{writes: 2 * math.Ceil((u.Bytes+keptItem)/(1<<10)), busy: float64(sim.StoreTime.Milliseconds())}
}

func (u Usage) hour() Work { return Work{minutes: 60}.plus(60/u.Heartbeat, beat.work()) }

// round is one of keepalive, which has 512 MB, whoever is there. It reads all
// records, eventually consistent, those of users also when they are offline, since
// they stay for a day. Each segment takes half a read unit at least.
func (u Usage) round() Work {
	bytes := u.Users * (sim.UserItem + sim.ConnectionItem*u.Hours/hours)
	return Work{
		invocations: 1,
		busy:        2 * (ownTime + signal.Segments/signal.SegmentsAtOnce*float64(sim.StoreTime.Milliseconds())),
		reads:       signal.Segments * max(math.Ceil(bytes/signal.Segments/(4<<10)), 1) / 2,
		logged:      logLine + metricLine,
	}
}

// Metered returns a table in Markdown of what AWS meters of what users meet.
func (u Usage) Metered() string {
	head := []string{"for one", "messages", "minutes", "invocations", "busy, ms", "write units", "read units", "log, bytes", "a million, in dollars"}
	return markdown(head, u.things(), func(r row) []float64 {
		return append(r.work[messages:metrics:metrics], 1e6*r.work.dollars(""))
	})
}

// Priced returns a table in Markdown of what a month costs.
func (u Usage) Priced() string {
	head := []string{"in dollars", "API Gateway", "Lambda", "DynamoDB", "CloudWatch", "transfer", "together"}
	return markdown(head, u.month(), func(r row) (cells []float64) {
		for _, service := range append(head[1:6:6], "") {
			cells = append(cells, r.times*r.work.dollars(service))
		}
		return cells
	})
}

func markdown(head []string, rows []row, cells func(row) []float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		b.WriteString("| " + r.name)
		for _, cell := range cells(r) {
			b.WriteString(" | " + strings.TrimSuffix(fmt.Sprintf("%.2f", cell), ".00"))
		}
		b.WriteString(" |\n")
	}
	return b.String()
}
