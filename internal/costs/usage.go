package costs

import (
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/sim"
)

// Usage is what the service is used for in a month, and how it is configured.
type Usage struct {
	Users   float64
	Calls   float64 // that each user makes
	Signals float64 // of a call, by both sides together
	Burst   int     // of them that one side sends at once
	Hours   float64 // that each user is connected
	Client  string  // one of Clients

	Session   time.Duration // that a connection lasts
	Heartbeat time.Duration // between two pings

	Bytes    float64       // of a signal
	MemoryMB float64       // of the functions
	Own      time.Duration // that an invocation takes, besides what it waits for
}

// Month is how many hours a month has, as AWS counts.
const Month = 730

// Default is a service with a thousand users who make two calls a day and are connected for eight hours of it.
var Default = Usage{
	Users: 1000, Calls: 60, Signals: 30, Burst: 10, Hours: 240, Client: "5",
	Session: 2 * time.Hour, Heartbeat: 5 * time.Minute,
	Bytes: 600, MemoryMB: 256, Own: 5 * time.Millisecond,
}

// Limits of what can be asked for.
const (
	MaxSession   = 2 * time.Hour    // API Gateway's
	MaxHeartbeat = 10 * time.Minute // after which API Gateway closes a silent connection
	MaxBytes     = 128 << 10        // API Gateway's
	MaxBurst     = 100              // of the 128 that a connection may hold
)

// Check says what is wrong with u, if anything is.
func (u Usage) Check() error {
	_, known := Clients[u.Client]
	switch {
	case u.Users < 0 || u.Calls < 0 || u.Signals < 0 || u.Own < 0:
		return errors.New("users, calls, signals and times cannot be negative")
	case u.Burst < 1 || u.Burst > MaxBurst:
		return fmt.Errorf("a burst is 1 to %d messages", MaxBurst)
	case u.Hours < 0 || u.Hours > Month:
		return fmt.Errorf("a month has %d hours", Month)
	case !known:
		return fmt.Errorf("no client %q: there are 5, 4 and json", u.Client)
	case u.Session <= 0 || u.Session > MaxSession:
		return fmt.Errorf("a connection lasts up to %v", MaxSession)
	case u.Heartbeat <= 0 || u.Heartbeat >= MaxHeartbeat:
		return fmt.Errorf("a heartbeat comes within %v", MaxHeartbeat)
	case u.Bytes < 1 || u.Bytes > MaxBytes:
		return fmt.Errorf("a message has 1 to %d bytes", MaxBytes)
	case u.MemoryMB < 128 || u.MemoryMB > 10240:
		return errors.New("functions have 128 to 10240 MB of memory")
	}
	return nil
}

// worlds is in how many simulated worlds a burst is measured.
const worlds = 200

// Message is one of a burst.
func (u Usage) Message(burst int) Work {
	b := sim.MeasureBurst(burst, worlds)
	w := u.filled(Message.work(u.Own))
	w.Busy = b.Busy + u.Own
	acks := b.Posts - float64(Message.Posts) // that were posted; their answers say nothing
	w.Messages, w.Sent = w.Messages+acks, w.Sent+acks*smallFrame
	w.Writes, w.Reads = b.Writes, b.Reads
	var writes, held float64
	for frames, n := range b.Held {
		size := connectionRecord + float64(frames)*(u.Bytes+heldFrame)
		w.Writes += n * (units(size, writeUnit) - 1)
		writes += n
		held += n * size
	}
	w.Reads *= units(held/writes, readUnit)
	return w
}

// filled is a message's work when two of its frames are not small: the one with its data, and the delivery.
func (u Usage) filled(w Work) Work {
	w.Messages += 2 * (units(u.Bytes+envelope, messageIncrement) - 1)
	w.Sent += u.Bytes + envelope - smallFrame
	return w
}

// Call is what it takes to set one up.
func (u Usage) Call() Work { return u.Message(u.Burst).Times(u.Signals) }

// Connection is its beginning and its end.
func (u Usage) Connection() Work {
	c := Clients[u.Client]
	return c.Connect.work(u.Own).Plus(c.Disconnect.work(u.Own))
}

// Hour is one in which a client is connected and silent.
func (u Usage) Hour() Work {
	w := Clients[u.Client].Beat.work(u.Own).Times(float64(time.Hour) / float64(u.Heartbeat))
	w.Minutes = 60
	return w
}

// connections is how many connections it takes for so many hours.
func (u Usage) connections(hours float64) float64 { return hours / u.Session.Hours() }

// Idle is a month in which a user is connected and silent.
func (u Usage) Idle() Work {
	return u.Hour().Times(Month).Plus(u.Connection().Times(u.connections(Month)))
}

// Keepalive is what the rounds of a month cost, whoever is there: all records are read, eventually consistent, those of
// users also when they are offline, since they stay for a day. Each segment takes half a read unit at least.
func (u Usage) Keepalive() Work {
	rounds := Month * float64(time.Hour) / float64(u.Heartbeat)
	bytes := u.Users * (userRecord + connectionRecord*u.Hours/Month)
	reads := signal.Segments * max(units(bytes/signal.Segments, readUnit), 1) / 2
	busy := u.Own + signal.Segments*sim.StoreTime/signal.SegmentsAtOnce
	w := Work{Invocations: 1, Busy: busy, Reads: reads, Logged: logLine + metricLine}
	return w.Times(rounds)
}

// Activity is one kind of things that all users do in a month.
type Activity struct {
	Name string
	Work Work
}

// Activities are all of a month.
func (u Usage) Activities() []Activity {
	return []Activity{
		{"signals of calls", u.Call().Times(u.Users * u.Calls)},
		{"heartbeats and minutes", u.Hour().Times(u.Users * u.Hours)},
		{"connecting and leaving", u.Connection().Times(u.Users * u.connections(u.Hours))},
		{"keepalive's rounds", u.Keepalive()},
	}
}
