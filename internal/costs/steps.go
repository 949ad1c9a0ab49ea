package costs

import (
	"time"

	"github.com/owt-signal/owt-signal/internal/sim"
)

// Steps is what the code does for something that happens to one connection.
// TestSteps counts them on the handlers and a DynamoDB engine.
type Steps struct {
	Invocations   int
	In            int // frames of clients
	Answers       int // frames that are the answer to one
	Posts         int // frames by @connections
	Pings         int // the same, by keepalive
	Writes, Reads int // units of DynamoDB, of records that hold no frames
	Waits         int // ms that it pauses for
	Lines         int // in the log
	Metrics       int // lines of metrics
}

// Sizes in bytes, on average, which TestSizes compares, as those of items in internal/sim.
const (
	logLine    = 180 // about a connection
	metricLine = 400 // of an invocation
	smallFrame = 30  // acks, greetings, pings
	envelope   = 80  // what a delivery has around the message's data
)

// What a client of SDK 5.x for JavaScript takes: all until the user is online, a
// ping and its answer, the end, and the end of the record.
var (
	connect    = Steps{Invocations: 3, In: 2, Answers: 2, Posts: 3, Writes: 3, Reads: 2, Lines: 1, Metrics: 3}
	beat       = Steps{Invocations: 1, In: 1, Answers: 1, Pings: 1}
	disconnect = Steps{Invocations: 1, Writes: 2, Reads: 2, Waits: 101, Lines: 1, Metrics: 1} // it waits for what was sent before
	forget     = Steps{Writes: 1, Reads: 1}
	verify     = Steps{Reads: 1, Metrics: 1}                                                             // by a beat, up to twice
	connection = connect.work().plus(1, disconnect.work()).plus(1, forget.work()).plus(2, verify.work()) // from beginning to end
)

// watch is what a connection takes to watch a user.
var watch = Steps{Invocations: 1, In: 1, Answers: 1, Writes: 3, Reads: 1, Metrics: 1}

// What backends take: a message with a key, and the question whether a user is online.
var (
	dispatched = Steps{Invocations: 1, Posts: 1, Writes: 5, Reads: 1, Lines: 1, Metrics: 1}
	asked      = Steps{Invocations: 1, Reads: 1, Lines: 1, Metrics: 1}
)

// refusalReads is what a connection reads more where backends may have users refused.
const refusalReads = 2

// Who is in one item of those who watch a user, and is told at a time.
const watchersTogether, toldAtOnce = 50, 16

// announced is what it adds to an invocation to tell so many that a user comes or goes:
// it reads the user, who watches, and their connections, and notes that all are told.
func announced(watchers int) Steps {
	return Steps{Posts: watchers, Writes: 1, Reads: 1 + (watchers+watchersTogether-1)/watchersTogether + watchers}
}

// announcement is what AWS meters of that. What is read together takes a call.
func announcement(watchers int) Work {
	w := announced(watchers).work()
	rounds := int64(watchers+toldAtOnce-1) / toldAtOnce
	w[busy] = float64(4*sim.StoreTime.Milliseconds() + rounds*sim.PostTime.Milliseconds())
	return w
}

// In ms: what an invocation takes besides what it waits for, and a ping adds to keepalive.
const ownTime, pingTime = 5, 1

// work is what AWS meters of steps whose frames are small.
func (s Steps) work() Work {
	waits := time.Duration(s.Writes+s.Reads)*sim.StoreTime + time.Duration(s.Posts)*sim.PostTime
	return Work{
		messages:    float64(s.In + s.Answers + s.Posts + s.Pings),
		invocations: float64(s.Invocations),
		busy:        float64(s.Invocations*ownTime+s.Pings*pingTime+s.Waits) + float64(waits.Milliseconds()),
		writes:      float64(s.Writes),
		reads:       float64(s.Reads),
		logged:      float64(s.Lines*logLine + s.Metrics*metricLine),
		sent:        float64((s.Answers + s.Posts + s.Pings) * smallFrame),
	}
}
