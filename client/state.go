package client

// State is what has become of a client.
type State int

// The states of a client. It begins connected, and ends once.
const (
	StateReconnecting State = iota // the connection was lost: what is sent waits for the next
	StateConnected
	StateEnded // there is no further connection
)

// String is the state's name.
func (s State) String() string {
	switch s {
	case StateReconnecting:
		return "reconnecting"
	case StateConnected:
		return "connected"
	case StateEnded:
		return "ended"
	default:
		return "unknown state"
	}
}

// State returns what has become of the client.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return StateEnded
	case c.current != nil:
		return StateConnected
	default:
		return StateReconnecting
	}
}

// Done is closed when the client has ended. What has come by then can still be
// received.
func (c *Client) Done() <-chan struct{} { return c.ended }

// Err returns why the client has ended: [ErrClosed], [ErrSuperseded], or an error that
// wraps the [*Error] by which the server refused it; nil until then.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// changed tells the program of a state. The lock is held.
func (c *Client) changed(s State, why error) {
	if c.options.OnState != nil {
		c.notice(func() { c.options.OnState(s, why) })
	}
}

// notice has notify make a call. The lock is held.
func (c *Client) notice(call func()) {
	c.notices = append(c.notices, call)
	poke(c.noticed)
}

// notify calls the program's functions, one call after the other, until the client
// has ended and the last was made.
func (c *Client) notify() {
	for {
		select {
		case <-c.noticed:
		case <-c.ended:
		}
		c.mu.Lock()
		calls, last := c.notices, c.err != nil
		c.notices = nil
		c.mu.Unlock()
		for _, call := range calls {
			call()
		}
		if last {
			return
		}
	}
}
