package sim

import (
	"slices"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// FirstWithReuse is the first seed of a world in which, if its last bit is not set,
// clients give a number that was answered to another message, too.
const FirstWithReuse = 1 << 46

// reuse has a client send a message under the last number that was answered: once for
// each time that it came, so that what is answered from now on is the message.
func (s *Sim) reuse(c *client, to signal.UserName) {
	k := c.socket
	if !c.ready || !k.open || c.left || s.faults.Repeat > 0 {
		return
	}
	for _, was := range slices.Backward(s.messages) {
		if was.from == nil || was.n == signal.NoNumber || was.from.lane() != k.lane() || len(was.acks) == 0 || len(was.acks) != was.invocations {
			continue
		}
		s.count("reused numbers")
		m := &message{id: len(s.messages), n: was.n, to: to}
		s.messages = append(s.messages, m)
		if c.session != "" {
			c.unanswered = append(c.unanswered, m)
		}
		c.emit(m)
		return
	}
}
