package lane

// Frame is what a numbered frame of a client asks for. Its content is opaque
// to the lane.
type Frame struct {
	// To is the receiver's name and Data the message, exactly as it came, and what
	// follows it if the sender's protocol relays more than that.
	To   string
	Data []byte
	// Mark tells the frame from another one that says the same, where the sender does
	// not number them; empty: nothing does. It is kept in the [Frame.Digest] alone.
	Mark string
	// Body, if not zero, says that a store keeps both apart from the lane: of a
	// frame in a record they are to be fetched before it is posted.
	Body Body
	// Code, if not OK, is how the frame ends once it is taken: it cannot be
	// delivered, and still has its place in the order.
	Code Code
	// Asks is what the frame asks of the service alone, so that there is nothing to
	// post; if there is a Code it is denied that.
	Asks Question
}

// Question is what a frame asks of the service.
type Question uint8

// The questions that have a place in the order.
const (
	AsksNothing Question = iota // it is a message
	AsksName                    // a repeated authentication: the name that the connection has
	AsksICE                     // ICE servers
)

// Body is where a store keeps what a held frame says.
type Body struct {
	Name string // which no other try to hold a frame has
	Len  int    // of To and Data together, in bytes
	// Digest is the frame's.
	Digest uint32
}

// Len returns how much the frame counts toward [MaxHeldBytes], in bytes.
func (f Frame) Len() int {
	if f.Apart() {
		return f.Body.Len
	}
	return len(f.To) + len(f.Data)
}

// Apart reports whether a store keeps what the frame says apart from the lane.
func (f Frame) Apart() bool { return f.Body.Name != "" }

// Posts reports whether there is something to post; otherwise the frame ends with
// its Code.
func (f Frame) Posts() bool { return f.Code == OK && f.Asks == AsksNothing }

// Numbered is a frame with its number.
type Numbered struct {
	N int64
	Frame
}

// Held is a frame that came early and is held.
type Held struct {
	Frame
	By string  // the invocation that submitted it
	At Instant // when it was held
}

// HeldFrame is a frame to hold, under its number.
type HeldFrame struct {
	N int64
	Held
}
