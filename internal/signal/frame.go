package signal

// Frame is what a numbered frame of a client asks for. Its content is opaque
// to the domain.
type Frame struct {
	// To is the receiver and Data the message, exactly as it came.
	To   UserName
	Data []byte
	// Code, if not OK, is how the frame ends when its turn comes: it cannot be
	// delivered, and still has its place in the order.
	Code Code
	// Confirm asks only for the name that the connection has, and is denied it
	// if there is a Code: a repeated authentication.
	Confirm bool
}

// Len is how much the frame counts toward [MaxHeldBytes], in bytes.
func (f Frame) Len() int { return len(f.To) + len(f.Data) }

// Numbered is a frame with its number.
type Numbered struct {
	N int64
	Frame
}
