package costs

import (
	"time"

	"github.com/owt-signal/owt-signal/internal/sim"
)

// Steps is what the code does for something that happens to one connection.
// TestSteps counts them on the handlers and the real DynamoDB engine.
type Steps struct {
	Invocations   int
	In            int // frames of clients
	Answers       int // frames that are the answer to one
	Posts         int // frames by @connections
	Pings         int // the same, by keepalive
	Writes, Reads int // units of DynamoDB, of records that hold no frames
	Lines         int // in the log
	Metrics       int // lines of metrics
}

// Sizes in bytes, on average. TestSizes sees that they are not far off.
const (
	connectionRecord = 250
	userRecord       = 200
	logLine          = 180 // about a connection
	metricLine       = 400 // of an invocation
	smallFrame       = 30  // acks, greetings, pings
	envelope         = 80  // what a delivery has around the message's data
	heldFrame        = 50  // what a record has around the data of a frame that it holds
)

// Message is one that nothing disturbs: its number is the next one, and the
// receiver is online.
var Message = Steps{Invocations: 1, In: 1, Answers: 1, Posts: 1, Writes: 3, Metrics: 1}

// Client is a kind of client.
type Client struct {
	Name string
	// Connect is all until the user is online, Beat a ping and its answer,
	// Disconnect the end.
	Connect, Beat, Disconnect Steps
}

// Clients are the kinds of clients, by their flag.
var Clients = map[string]Client{
	"5": {
		Name:       "SDK 5.x, JavaScript",
		Connect:    Steps{Invocations: 3, In: 2, Answers: 2, Posts: 3, Writes: 3, Reads: 2, Lines: 1, Metrics: 3},
		Beat:       Steps{Invocations: 1, In: 1, Answers: 1, Pings: 1},
		Disconnect: disconnect,
	},
	"4": {
		Name:       "SDK 4.x",
		Connect:    Steps{Invocations: 1, Posts: 3, Writes: 3, Reads: 1, Lines: 1, Metrics: 1},
		Beat:       Steps{Invocations: 1, In: 1, Answers: 1},
		Disconnect: disconnect,
	},
	"json": {
		Name:       "JSON",
		Connect:    Steps{Invocations: 1, Posts: 2, Writes: 3, Reads: 1, Lines: 1, Metrics: 1},
		Beat:       Steps{Invocations: 1, In: 1, Answers: 1},
		Disconnect: disconnect,
	},
}

var disconnect = Steps{Invocations: 1, Writes: 2, Lines: 1, Metrics: 1}

// pingTime is what a ping adds to the time of keepalive, which makes 1,000 a second (signal.PingRate).
const pingTime = time.Millisecond

// work is what AWS meters of steps whose frames are small, with invocations that take so long by themselves.
func (s Steps) work(own time.Duration) Work {
	return Work{
		Invocations: float64(s.Invocations),
		Busy: time.Duration(s.Invocations)*own + time.Duration(s.Writes+s.Reads)*sim.StoreTime +
			time.Duration(s.Posts)*sim.PostTime + time.Duration(s.Pings)*pingTime,
		Messages: float64(s.In + s.Answers + s.Posts + s.Pings),
		Writes:   float64(s.Writes),
		Reads:    float64(s.Reads),
		Logged:   float64(s.Lines)*logLine + float64(s.Metrics)*metricLine,
		Sent:     float64(s.Answers+s.Posts+s.Pings) * smallFrame,
	}
}
