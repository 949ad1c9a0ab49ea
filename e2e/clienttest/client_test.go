package clienttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/client"
	"github.com/owt-signal/owt-signal/internal/app"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// burst sends numbers. Wait says how each ended.
func (w *world) burst(c *client.Client, to string, from, n int) (wait func() []error) {
	waits := make([]func(context.Context) error, n)
	for i := range n {
		waits[i] = c.Queue(to, from+i)
	}
	return func() []error {
		errs := make([]error, n)
		for i, wait := range waits {
			errs[i] = wait(w.t.Context())
		}
		return errs
	}
}

// expect receives numbers.
func (w *world) expect(c *client.Client, from, n int) {
	w.t.Helper()
	for i := range n {
		m := w.receive(c)
		if got := string(m.Data); got != fmt.Sprint(from+i) {
			w.t.Fatalf("received %s, want %d", got, from+i)
		}
	}
}

func (w *world) receive(c *client.Client) client.Message {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	m, err := c.Receive(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// nothing is received for as long as anything could come.
func (w *world) nothing(c *client.Client) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if m, err := c.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		w.t.Errorf("received %s (%v), want nothing", m.Data, err)
	}
}

func (w *world) succeed(errs []error) {
	w.t.Helper()
	for i, err := range errs {
		if err != nil {
			w.t.Errorf("message %d: %v", i, err)
		}
	}
}

// A token is what it is, whatever a header would make of it.
func TestTokensOfAnyText(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, token := range []string{"alice", "a b", " alice", "alice ", "\talice\n", "a\x00b", "a\r\nHost: b", "\u00a0alice", "\u7528\u62371", strings.Repeat("\u00e4", 128)} {
			c, _ := w.dial(token)
			if c.User() != token {
				t.Errorf("token %q: user %q", token, c.User())
			}
			b, _ := w.dial("bob")
			w.succeed(w.burst(b, token, 1, 1)())
			w.expect(c, 1, 1)
			_ = b.Close()
		}
		if _, err := w.try(&network{world: w}, "\xff"); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("not UTF-8: %v", err)
		}
	})
}

func TestMessages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, _ := w.dial("alice")
		b, _ := w.dial("bob")
		if a.User() != "alice" {
			t.Errorf("user is %q", a.User())
		}
		sent := w.burst(a, "bob", 1, 300) // more than are in flight at a time
		w.expect(b, 1, 300)
		w.succeed(sent())
		raw := json.RawMessage(`{ "sdp":"<&>", "n": 1.0 }`)
		if err := a.Send(t.Context(), "bob", raw); err != nil {
			t.Fatal(err)
		}
		m := w.receive(b)
		if string(m.Data) != string(raw) || m.From != "alice" || m.Session == "" || m.Number != 301 || m.Seq != 301 || m.Epoch == "" {
			t.Errorf("received %+v", m)
		}
	})
}

// What is sent together goes in as few frames as it fits into, and so do the
// answers, and the messages to the receiver.
func TestTogether(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice")
		b, other := w.dial("bob")
		synctest.Wait()
		for _, l := range []*link{network.links[0], other.links[0]} {
			l.count()
		}
		var sent func() []error
		a.Together(func() { sent = w.burst(a, "bob", 1, 20) })
		w.expect(b, 1, 20)
		w.succeed(sent())
		if reads, writes := network.links[0].count(); reads != 1 || writes != 1 {
			t.Errorf("twenty messages took %d writes, and their acks %d reads", writes, reads)
		}
		if reads, _ := other.links[0].count(); reads != 1 {
			t.Errorf("twenty messages came in %d reads", reads)
		}
	})
}

// What was not answered when the connection was lost is sent again, and arrives
// once.
func TestNetworkIsCut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice", func(o *client.Options) { o.MaxBackoff = time.Second })
		b, _ := w.dial("bob")
		const links, messages = 300, 4000
		network.mu.Lock()
		network.lasts = func(i int) int { // some do not last until the welcome
			if i < links {
				return 1 + 7*i%20
			}
			return 0
		}
		network.mu.Unlock()
		network.cut()
		sent := w.burst(a, "bob", 1, messages)
		w.expect(b, 1, messages)
		w.succeed(sent())
		w.nothing(b)
		if network.made() < links/10 {
			t.Errorf("%d connections: hardly any was cut", network.made())
		}
	})
}

// A connection that is dead without a word is noticed by what is not answered,
// or by the heartbeat.
func TestHalfOpen(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice")
		b, _ := w.dial("bob")
		network.deafen()
		start := time.Now()
		if err := a.Send(t.Context(), "bob", 1); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 7*time.Second { // 3 times AckTimeout, and a wait
			t.Errorf("noticed after %v", d)
		}
		w.expect(b, 1, 1)

		network.deafen()
		time.Sleep(67 * time.Second) // Heartbeat, 3 times AckTimeout, and a wait
		if err := b.Send(t.Context(), "alice", 2); err != nil {
			t.Fatal(err)
		}
		w.expect(a, 2, 1)
	})
}

// What an invocation took with it comes again before the server gives up waiting
// for it: what came after it is not told that it failed.
func TestInvocationDies(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, _ := w.dial("alice")
		b, _ := w.dial("bob")
		w.server.doomed.Store(true)
		first := w.burst(a, "bob", 1, 1)
		synctest.Wait()
		start := time.Now()
		rest := w.burst(a, "bob", 2, 20)
		w.expect(b, 1, 21)
		w.succeed(append(first(), rest()...))
		if d := time.Since(start); d >= lane.GapTimeout {
			t.Errorf("it took %s, as long as the server waits", d)
		}
	})
}

// Clients live for as long as they like on connections that last 2 hours, and
// miss nothing when they replace them.
func TestRenewal(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		gaps := 0
		count := func(o *client.Options) { o.OnGap = func(client.Gap) { gaps++ } }
		a, networkA := w.dial("alice", count)
		b, networkB := w.dial("bob", count)
		const hours = 24
		for i := range hours * 60 {
			w.succeed(w.burst(a, "bob", i, 1)())
			w.expect(b, i, 1)
			time.Sleep(time.Minute)
		}
		for _, n := range []*network{networkA, networkB} {
			if made := n.made(); made < hours/2 || made > hours {
				t.Errorf("%d connections in %d hours", made, hours)
			}
		}
		if gaps > 0 {
			t.Errorf("%d gaps", gaps)
		}
	})
}

func TestSuperseded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice")
		w.dial("alice")
		if _, err := a.Receive(t.Context()); !errors.Is(err, client.ErrSuperseded) {
			t.Errorf("receive: %v", err)
		}
		if err := a.Send(t.Context(), "bob", 1); !errors.Is(err, client.ErrSuperseded) || errors.Is(err, client.ErrUnknown) {
			t.Errorf("send: %v", err)
		}
		if _, err := a.Presence(t.Context(), "bob"); !errors.Is(err, client.ErrSuperseded) {
			t.Errorf("presence: %v", err)
		}
		time.Sleep(time.Hour)
		if network.made() != 1 {
			t.Error("it has connected again")
		}
	})
}

// With its token a connection ends. The client goes on with the next one, if
// there is another token.
func TestTokenEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("", func(o *client.Options) {
			o.TokenSource = func(context.Context) (string, error) { return "alice/60", nil }
		})
		b, _ := w.dial("bob")
		for i := range 5 {
			time.Sleep(61 * time.Second)
			w.succeed(w.burst(a, "bob", 2*i, 2)())
			w.expect(b, 2*i, 2)
		}
		if network.made() != 6 {
			t.Errorf("%d connections", network.made())
		}
		c, _ := w.dial("carol/60")
		time.Sleep(61 * time.Second)
		err := c.Send(t.Context(), "bob", 1)
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Code != client.CodeToken {
			t.Errorf("send: %v", err)
		}
	})
}

func TestSendFails(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, _ := w.dial("alice")
		b, _ := w.dial("bob")
		err := a.Send(t.Context(), "nobody", 1)
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Code != client.CodeUnreachable || errors.Is(err, client.ErrUnknown) {
			t.Errorf("to nobody: %v", err)
		}
		for _, to := range []string{"", strings.Repeat("x", 257), "\xff"} {
			if err := a.Send(t.Context(), to, 1); err == nil {
				t.Errorf("sent to %q", to)
			}
		}
		for _, data := range []any{make(chan int), json.RawMessage("{"), json.RawMessage("\"\xff\"")} {
			if err := a.Send(t.Context(), "bob", data); err == nil {
				t.Errorf("sent %v", data)
			}
		}
		w.succeed(w.burst(a, "bob", 1, 1)())
		w.expect(b, 1, 1)
	})
}

// The largest message goes in several WebSocket frames; one that is larger is
// not sent.
func TestLargeMessages(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, _ := w.dial("alice")
		b, _ := w.dial("bob")
		const around = len(`{"type":"message","id":,"to":"bob","data":""}`) + 16
		text := strings.Repeat("x", 128<<10-around)
		if err := a.Send(t.Context(), "bob", text+"x"); !errors.Is(err, client.ErrTooLarge) {
			t.Errorf("too large: %v", err)
		}
		// It fits on the way to the server; with the sender's name, the epoch and
		// the session it does not fit on the way to bob.
		err := a.Send(t.Context(), "bob", text)
		if e, ok := errors.AsType[*client.Error](err); !ok || errors.Is(err, client.ErrUnknown) && e.Code != client.CodeUnavailable {
			t.Errorf("largest: %v", err)
		}
		text = text[:len(text)-200]
		if err := a.Send(t.Context(), "bob", text); err != nil {
			t.Fatal(err)
		}
		if m := w.receive(b); string(m.Data) != `"`+text+`"` {
			t.Errorf("received %d bytes", len(m.Data))
		}
		// Many large ones at a time are no more than the server holds.
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := a.Send(t.Context(), "bob", text[:60_000]); err != nil {
					t.Error(err)
				}
			})
		}
		for range 50 {
			w.receive(b)
		}
		all.Wait()
	})
}

// A message that its sender gave up before it was sent leaves no gap; one that
// was on its way arrives.
func TestGiveUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice")
		b, _ := w.dial("bob")
		network.set(true)
		network.cut()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := a.Send(ctx, "bob", 1)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, client.ErrUnknown) {
			t.Errorf("never sent: %v", err)
		}
		network.set(false)
		w.succeed(w.burst(a, "bob", 2, 1)())
		w.expect(b, 2, 1)

		network.deafen()
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = a.Send(ctx, "bob", 3)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, client.ErrUnknown) {
			t.Errorf("on its way: %v", err)
		}
		w.expect(b, 3, 1)
	})
}

// The server's process ends and a new one begins, which knows nothing: what was
// not answered waits for its receiver, and arrives once all the same.
func TestServerForgets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, networkA := w.dial("alice")
		b, networkB := w.dial("bob")
		w.succeed(w.burst(a, "bob", 1, 10)())
		networkA.deafen() // bob gets them, and the acks are lost
		sent := w.burst(a, "bob", 11, 10)
		w.server.stop()
		networkA.cut()
		networkB.set(true)
		w.server = newServer(w.listen())
		time.Sleep(5 * time.Second) // alice is back, bob is not
		if online, err := a.Presence(t.Context(), "bob"); online || err != nil {
			t.Errorf("bob is online: %v, %v", online, err)
		}
		networkB.set(false)
		w.succeed(sent())
		w.expect(b, 1, 20)
		w.succeed(w.burst(a, "bob", 21, 10)())
		w.expect(b, 21, 10)
		w.nothing(b)
	})
}

// Receivers that do not come back are waited for no longer than the grace.
func TestGrace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice")
		b, _ := w.dial("bob")
		network.deafen()
		sent := w.burst(a, "bob", 1, 1)
		_ = b.Close()
		w.server.stop()
		network.cut()
		w.server = newServer(w.listen())
		start := time.Now()
		err := sent()[0]
		if e, ok := errors.AsType[*client.Error](err); !ok || e.Code != client.CodeUnreachable {
			t.Errorf("send: %v", err)
		}
		if d := time.Since(start); d < 20*time.Second || d > 22*time.Second {
			t.Errorf("answered after %v", d)
		}
	})
}

// A program that does not receive for some seconds loses nothing: what it leaves
// waits here and at the server, which closes a connection that takes nothing for
// 10 s.
func TestSlowReceiver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, _ := w.dial("alice")
		b, network := w.dial("bob")
		sent := w.burst(a, "bob", 1, 1500)
		time.Sleep(9 * time.Second) // longer than a silent connection may be
		w.expect(b, 1, 1500)
		w.succeed(sent())
		if network.made() != 1 {
			t.Errorf("%d connections", network.made())
		}
	})
}

func TestPresence(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice")
		b, _ := w.dial("bob")
		ask := func(want bool) {
			t.Helper()
			if online, err := a.Presence(t.Context(), "bob"); online != want || err != nil {
				t.Errorf("bob is online: %v, %v", online, err)
			}
		}
		ask(true)
		network.deafen() // and asked again on the next connection
		ask(true)
		_ = b.Close() // takes leave
		ask(false)
		if _, err := a.Presence(t.Context(), ""); err == nil {
			t.Error("somebody without a name is")
		}
	})
}

func TestClose(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice")
		b, _ := w.dial("bob")
		w.succeed(w.burst(b, "alice", 1, 2)())
		synctest.Wait() // what is acked has been accepted, and may be on its way
		network.deafen()
		sent := w.burst(a, "bob", 1, 1)
		start := time.Now()
		_ = a.Close()
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("closing a dead connection took %v", d)
		}
		_ = a.Close()
		if err := sent()[0]; !errors.Is(err, client.ErrClosed) || !errors.Is(err, client.ErrUnknown) {
			t.Errorf("send: %v", err)
		}
		w.expect(a, 1, 2) // what had come
		if _, err := a.Receive(t.Context()); !errors.Is(err, client.ErrClosed) {
			t.Errorf("receive: %v", err)
		}
	})
}

// The queue has an end, and what is refused there leaves no trace.
func TestQueueIsFull(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice")
		b, _ := w.dial("bob")
		network.set(true)
		network.cut()
		synctest.Wait()
		const most = 4096
		sent := w.burst(a, "bob", 1, most)
		if err := a.Send(t.Context(), "bob", 0); !errors.Is(err, client.ErrQueueFull) || errors.Is(err, client.ErrUnknown) {
			t.Errorf("one more: %v", err)
		}
		network.set(false)
		w.expect(b, 1, most)
		w.succeed(sent())
		w.nothing(b)
	})
}

// An anonymous user has another name after each connection, and nothing is sent
// again under that.
func TestAnonymous(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("")
		b, _ := w.dial("bob")
		before := a.User()
		network.deafen()
		err := w.burst(a, "bob", 1, 1)()[0]
		if !errors.Is(err, client.ErrUnknown) {
			t.Errorf("send: %v", err)
		}
		if a.User() == before {
			t.Error("the name stayed")
		}
		w.succeed(w.burst(a, "bob", 2, 1)())
		w.expect(b, 2, 1)
	})
}

// What a client has queued when it leaves arrives, and leaving takes no longer than the
// server waits for what was sent; whoever comes back at once is served.
func TestGoodbye(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b, _ := w.dial("bob")
		for i := range 60 {
			a, _ := w.dial("alice")
			a.Queue("bob", i)
			start := time.Now()
			_ = a.Close()
			if d := time.Since(start); d > time.Second {
				t.Errorf("leaving took %v", d)
			}
			w.expect(b, i, 1)
		}
		a, _ := w.dial("alice")
		w.succeed(w.burst(b, "alice", 1, 1)())
		w.expect(a, 1, 1)
	})
}

// The servers of the welcome are those that the operator offers this user.
func TestIceServers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, _ := w.dial("alice")
		for range 2 { // young, and asked for anew
			servers, err := a.IceServers(t.Context())
			if err != nil || len(servers) != 1 || servers[0].URLs[0] != "turn:x" || servers[0].Username != "alice" {
				t.Errorf("got %+v: %v", servers, err)
			}
			time.Sleep(time.Minute)
		}
	}, func(c *app.Config) {
		c.ICE = func(user signal.UserName, _ lane.Instant) signal.ICE {
			return signal.ICE{Servers: fmt.Appendf(nil, `[{"urls":["turn:x"],"username":%q,"credential":"c"}]`, user), Expires: time.Minute}
		}
	})
}
