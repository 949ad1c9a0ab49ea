package gateway

import (
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// A client's close frame makes the next write fail, and the writing goroutine may be the first to end the connection.
func TestWhatTheClientSaidIsTheBetterReason(t *testing.T) {
	bye := closure{ws.StatusNormalClosure, "bye"}
	for _, test := range []struct{ first, second, want closure }{
		{abnormal, bye, bye},
		{abnormal, abnormal, abnormal},
		{deleted, bye, deleted},
		{goingAway, abnormal, goingAway},
	} {
		c := &connection{timer: time.NewTimer(time.Hour)}
		c.queue.room.L = &c.mu
		c.end(test.first, false)
		c.conclude(test.second, false)
		if c.why != test.want {
			t.Errorf("%v, then %v: $disconnect tells %v, want %v", test.first, test.second, c.why, test.want)
		}
	}
}
