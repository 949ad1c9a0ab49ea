package costs

// Alternative is what the same calls cost elsewhere.
type Alternative struct {
	Name string
	Call float64 // dollars
	// Month is of all users; Idle what of it is there without any call.
	Month, Idle float64
}

// Alternatives are this service, and what AWS has instead.
func (u Usage) Alternatives() []Alternative {
	return []Alternative{u.thisService(), u.kinesis(), u.queue()}
}

func (u Usage) alternative(name string, call, idle float64) Alternative {
	return Alternative{Name: name, Call: call, Month: idle + call*u.Users*u.Calls, Idle: idle}
}

func (u Usage) thisService() Alternative {
	var idle float64
	for _, a := range u.Activities()[1:] {
		idle += a.Work.Bill(u.MemoryMB).Total()
	}
	return u.alternative("this service", u.Call().Bill(u.MemoryMB).Total(), idle)
}

// kinesis is Kinesis Video Streams with WebRTC. Whoever can be called needs a channel, and each signal is sent and
// received.
func (u Usage) kinesis() Alternative {
	return u.alternative("Kinesis Video Streams, WebRTC", 2*u.Signals*perSignalingMessage, u.Users*perChannelMonth)
}

// What Lambda does about a queue: a message is sent to it, received from it and deleted, a request each, and five
// requests at a time wait 20 s for one, whether there is one or not ("Using Lambda with Amazon SQS").
const (
	requestsPerMessage = 3
	pollers            = 5
	pollSeconds        = 20
)

// queued is a message by a queue: the queue keeps the order in which it got the frames, so nothing is taken, held or
// finished; the receiver is looked up by a read, and the ack is posted.
var queued = Steps{Invocations: 1, In: 1, Posts: 2, Reads: 1, Metrics: 1}

// queue is API Gateway with a FIFO queue before the function, in groups by sender.
func (u Usage) queue() Alternative {
	w := u.filled(queued.work(u.Own))
	requests := requestsPerMessage * units(u.Bytes, queueIncrement)
	message := w.Bill(u.MemoryMB).Total() + requests*perQueueRequest
	idle := u.thisService().Idle + pollers*Month*3600/pollSeconds*perQueueRequest
	return u.alternative("API Gateway and SQS FIFO", message*u.Signals, idle)
}
