package gateway_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/gateway/socket"
)

// frameOrEnd is what a client sees next.
type frameOrEnd struct {
	first   byte
	payload string
	err     error
	at      time.Duration // since the listening began
}

func (f frameOrEnd) String() string {
	if f.first == final|opClose {
		return fmt.Sprintf("close %d %q", binary.BigEndian.Uint16([]byte(f.payload)), f.payload[2:])
	}
	return fmt.Sprintf("%#x %q %v", f.first, f.payload, f.err)
}

// listen reads in the background, and answers a close frame as a client does.
func (c *raw) listen() <-chan frameOrEnd {
	seen := make(chan frameOrEnd, 1024)
	start := time.Now()
	go func() {
		for {
			first, payload, err := c.readFrame()
			seen <- frameOrEnd{first, payload, err, time.Since(start)}
			if first == final|opClose {
				c.Write(maskedFrame(first, payload))
			}
			if err != nil {
				return
			}
		}
	}()
	return seen
}

func wantGoingAway(t *testing.T, seen <-chan frameOrEnd, at time.Duration) {
	t.Helper()
	if f := <-seen; f.String() != `close 1001 "Going away"` || f.at != at {
		t.Errorf("at %v: %v, want 1001 at %v", f.at, f, at)
	}
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, disconnect := newRecorder(), newRecorder()
		b := newBubble(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Disconnect: disconnect, Default: newRecorder()}})
		c, id := dialBubble(t, b, connect)
		seen := c.listen()
		time.Sleep(gateway.DefaultIdle - time.Nanosecond)
		c.write(t, maskedFrame(final|opText, "in"))
		time.Sleep(gateway.DefaultIdle - time.Nanosecond)
		if err := b.Post(t.Context(), id, []byte("out")); err != nil {
			t.Fatal(err)
		}
		posted := 2 * (gateway.DefaultIdle - time.Nanosecond)
		if f := <-seen; f.payload != "out" || f.at != posted {
			t.Errorf("at %v: %v", f.at, f)
		}
		time.Sleep(gateway.DefaultIdle / 2)
		c.write(t, maskedFrame(final|opPing, "")) // is no message
		if f := <-seen; f.first != final|opPong {
			t.Errorf("at %v: %v", f.at, f)
		}
		wantGoingAway(t, seen, posted+gateway.DefaultIdle)
		context := disconnect.next(t).RequestContext
		if context.DisconnectStatusCode != 1001 || *context.DisconnectReason != "Going away" {
			t.Errorf("$disconnect %+v", context)
		}
	})
}

func TestDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, gateway.Config{})
		c := b.dial(t)
		seen := c.listen()
		const every = gateway.DefaultIdle / 2
		for range gateway.DefaultDuration/every - 1 {
			time.Sleep(every)
			c.write(t, maskedFrame(final|opText, "busy"))
			if f := <-seen; f.first != final|opText {
				t.Fatalf("at %v: %v", f.at, f)
			}
		}
		wantGoingAway(t, seen, gateway.DefaultDuration)
	})
}

func TestConfiguredTimeouts(t *testing.T) {
	for name, config := range map[string]gateway.Config{
		"idle":     {Idle: time.Second},
		"duration": {Duration: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBubble(t, config)
				wantGoingAway(t, b.dial(t).listen(), time.Second)
			})
		})
	}
}

func TestIntegrationTimeout(t *testing.T) {
	const timeout = gateway.DefaultIntegrationTimeout
	synctest.Test(t, func(t *testing.T) {
		finished := make(chan string, 3)
		b := newBubble(t, gateway.Config{Routes: gateway.Routes{
			Default: function(func(ctx context.Context, e *event) (response, error) {
				start := time.Now()
				if deadline, is := ctx.Deadline(); !is || deadline.Sub(start) != timeout {
					t.Errorf("deadline in %v", deadline.Sub(start))
				}
				takes, err := time.ParseDuration(e.Body)
				if err != nil {
					t.Error(err)
				}
				time.Sleep(takes)
				finished <- e.Body
				return response{Body: e.Body}, nil
			}),
		}})
		c := b.dial(t)
		seen := c.listen()
		c.write(t, maskedFrame(final|opText, (timeout-time.Nanosecond).String()))
		c.write(t, maskedFrame(final|opText, (timeout+time.Nanosecond).String()))
		if f := <-seen; f.payload != "28.999999999s" || f.at != timeout-time.Nanosecond {
			t.Errorf("at %v: %v", f.at, f)
		}
		if f := <-seen; !strings.HasPrefix(f.payload, `{"message": "Internal server error", "connectionId":"`) || f.at != timeout {
			t.Errorf("at %v: %v", f.at, f)
		}
		time.Sleep(time.Second)
		if len(finished) != 2 || len(seen) != 0 {
			t.Errorf("%d functions finished, %d frames more; want 2 and 0", len(finished), len(seen))
		}
	})
}

func TestWriteStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, disconnect := newRecorder(), newRecorder()
		b := newBubble(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Disconnect: disconnect}})
		c, id := dialBubble(t, b, connect)
		post := func() {
			t.Helper()
			if err := b.Post(t.Context(), id, []byte("slowly")); err != nil {
				t.Fatal(err)
			}
		}
		post()
		const bytes = 2 + len("slowly")
		for range bytes {
			time.Sleep(socket.WriteStall - time.Nanosecond)
			if _, err := c.r.ReadByte(); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()

		post()
		time.Sleep(socket.WriteStall - time.Nanosecond)
		synctest.Wait()
		if len(disconnect.events) != 0 {
			t.Fatal("closed before the stall was long enough")
		}
		post() // is accepted, as the connection is not known to be dead
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if err := b.Post(t.Context(), id, []byte("x")); !errors.Is(err, gateway.ErrGone) {
			t.Errorf("post after the stall: %v", err)
		}
		if code := disconnect.next(t).RequestContext.DisconnectStatusCode; code != 1006 {
			t.Errorf("$disconnect code %d", code)
		}
	})
}

func TestUnansweredCloseFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, disconnect := newRecorder(), newRecorder()
		b := newBubble(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Disconnect: disconnect}})
		c, id := dialBubble(t, b, connect)
		start := time.Now()
		if err := b.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		c.wantCode(t, 1000)
		if f := <-c.listen(); f.err == nil {
			t.Errorf("received %v", f)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("cut after %v", d)
		}
		synctest.Wait()
		if code := disconnect.next(t).RequestContext.DisconnectStatusCode; code != 1000 {
			t.Errorf("$disconnect code %d", code)
		}
	})
}

func TestDeleteOfAStalledConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, disconnect := newRecorder(), newRecorder()
		b := newBubble(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Disconnect: disconnect}})
		_, id := dialBubble(t, b, connect)
		if err := b.Post(t.Context(), id, []byte("never read")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := b.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		e := <-disconnect.events
		if d := time.Since(start); d != socket.WriteStall || e.RequestContext.DisconnectStatusCode != 1000 {
			t.Errorf("$disconnect code %d after %v", e.RequestContext.DisconnectStatusCode, d)
		}
	})
}
