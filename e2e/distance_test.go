package e2e

import (
	"net"
	"testing"
	"time"
)

// distant is an address that leads to another one, some time away: whatever is
// sent arrives so much later, either way.
func distant(t *testing.T, address string, away time.Duration) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				_ = near.Close()
				continue
			}
			go carry(far, near, away)
			go carry(near, far, away)
		}
	}()
	return l.Addr().String()
}

// carry copies what comes from one connection to the other, until that ends,
// and its end.
func carry(to, from net.Conn, away time.Duration) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	way := make(chan piece, 1024)
	go func() {
		defer close(way)
		for {
			bytes := make([]byte, 32<<10)
			n, err := from.Read(bytes)
			way <- piece{bytes[:n], time.Now().Add(away)}
			if err != nil {
				return
			}
		}
	}()
	var err error
	for p := range way {
		if err == nil {
			time.Sleep(time.Until(p.due))
			_, err = to.Write(p.bytes)
		}
		if err != nil {
			_ = to.Close() // ends the other way, too, and with it this one's source
		}
	}
	_ = to.Close()
}
