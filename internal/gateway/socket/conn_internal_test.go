package socket

import (
	"net/netip"
	"testing"

	"github.com/gobwas/ws"
)

// A client's close frame makes the next write fail, and the writing goroutine may be the first to end the connection.
func TestWhatTheClientSaidIsTheBetterReason(t *testing.T) {
	bye := CloseReason{ws.StatusNormalClosure, "bye"}
	for _, test := range []struct{ first, second, want CloseReason }{
		{Abnormal, bye, bye},
		{Abnormal, Abnormal, Abnormal},
		{GoingAway, bye, GoingAway},
		{GoingAway, Abnormal, GoingAway},
	} {
		c := (&Engine{}).NewConn(nil, netip.Prefix{})
		c.End(test.first)
		c.conclude(test.second)
		if c.why != test.want {
			t.Errorf("%v, then %v: ended with %v, want %v", test.first, test.second, c.why, test.want)
		}
	}
}
