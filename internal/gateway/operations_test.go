package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/gateway/socket"
)

// connected gives a gateway with one client, and the id of its connection.
func connected(t testing.TB) (s *server, c *client, id string) {
	connect := newRecorder()
	s = serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Default: echo}})
	c = s.dial(t, "/default", withHeader("User-Agent", "agent/1"))
	id = (<-connect.events).RequestContext.ConnectionID
	// The client may have its 101 a moment before the gateway lets itself be posted to.
	eventually(t, "connection is found", func() bool {
		_, err := s.Get(t.Context(), id)
		return err == nil
	})
	return s, c, id
}

func TestPostKeepsTheOrderOfOneCaller(t *testing.T) {
	s, c, id := connected(t)
	const messages = 500
	buffer := make([]byte, 0, 16)
	for i := range messages {
		buffer = fmt.Appendf(buffer[:0], "%d", i) // Post may not keep its argument
		if err := s.Post(t.Context(), id, buffer); err != nil {
			t.Fatal(err)
		}
	}
	for i := range messages {
		c.want(t, fmt.Sprint(i))
	}
}

func TestPostMayBeConcurrent(t *testing.T) {
	s, c, id := connected(t)
	const callers, messages = 8, 50
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range messages {
				if err := s.Post(t.Context(), id, fmt.Appendf(nil, "%d %d", caller, i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var next [callers]int
	for range callers * messages {
		var caller, i int
		if _, err := fmt.Sscan(c.receive(t), &caller, &i); err != nil || next[caller] != i {
			t.Fatalf("message %d of caller %d, want %d; %v", i, caller, next[caller], err)
		}
		next[caller]++
	}
	all.Wait()
}

func TestPostIsGoneBeforeAndAfterTheConnection(t *testing.T) {
	var s *server
	ids := make(chan string, 1)
	disconnect := newRecorder()
	gone := func(when, id string) {
		t.Helper()
		_, get := s.Get(t.Context(), id)
		for what, err := range map[string]error{
			"post": s.Post(t.Context(), id, []byte("x")), "get": get, "delete": s.Delete(t.Context(), id),
		} {
			if !errors.Is(err, gateway.ErrGone) || !strings.Contains(err.Error(), id) {
				t.Errorf("%s %s: %v, want ErrGone", what, when, err)
			}
		}
	}
	s = serve(t, gateway.Config{Routes: gateway.Routes{
		Connect: function(func(_ context.Context, e *event) (response, error) {
			gone("during $connect", e.RequestContext.ConnectionID)
			ids <- e.RequestContext.ConnectionID
			return ok, nil
		}),
		Disconnect: disconnect,
	}})
	c := s.dial(t, "/default")
	id := <-ids
	eventually(t, "connection can be posted to", func() bool { return s.Post(t.Context(), id, []byte("hi")) == nil })
	c.want(t, "hi")
	c.Close(1000, "")
	disconnect.next(t)
	gone("after the end", id)
	gone("of an unknown connection", "L0SM9cOFvHcCIhw=")
}

func TestBadConnectionID(t *testing.T) {
	g := gateway.New(gateway.Config{})
	for id, want := range map[string]error{
		"L0SM9cOFvHcCIhw=":  gateway.ErrGone,
		"L0SM9cOFvHcCIhw":   gateway.ErrBadConnectionID,
		"L0SM9cOFvHcCIh==":  gateway.ErrBadConnectionID,
		"L0SM9cOFvHcCIhwA":  gateway.ErrBadConnectionID,
		"L0SM9cOFvHcCI/w=":  gateway.ErrBadConnectionID,
		"":                  gateway.ErrBadConnectionID,
		"xL0SM9cOFvHcCIhw=": gateway.ErrBadConnectionID,
	} {
		_, get := g.Get(t.Context(), id)
		for _, err := range []error{get, g.Post(t.Context(), id, nil), g.Delete(t.Context(), id)} {
			if !errors.Is(err, want) {
				t.Errorf("%q: %v, want %v", id, err, want)
			}
		}
	}
}

func TestOperationsHeedTheirContext(t *testing.T) {
	s, _, id := connected(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := s.Get(ctx, id)
	for _, err := range []error{get, s.Post(ctx, id, nil), s.Delete(ctx, id)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want %v", err, context.Canceled)
		}
	}
}

func TestPostSizeLimit(t *testing.T) {
	s, c, id := connected(t)
	for _, size := range []int{0, 1, 125, 126, gateway.MaxFrame, gateway.MaxFrame + 1, gateway.MaxMessage} {
		if err := s.Post(t.Context(), id, []byte(bytesOf(size))); err != nil {
			t.Fatal(err)
		}
		c.want(t, bytesOf(size))
	}
	if err := s.Post(t.Context(), id, []byte(bytesOf(gateway.MaxMessage+1))); !errors.Is(err, gateway.ErrPayloadTooLarge) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestPostFragmentsAtTheFrameLimit(t *testing.T) {
	connect := newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect}})
	c := s.rawDial(t)
	id := connect.next(t).RequestContext.ConnectionID
	eventually(t, "posted", func() bool { return s.Post(t.Context(), id, []byte(bytesOf(gateway.MaxFrame))) == nil })
	if err := s.Post(t.Context(), id, []byte(bytesOf(2*gateway.MaxFrame)+"y")); err != nil {
		t.Fatal(err)
	}
	full := bytesOf(gateway.MaxFrame)
	c.wantFrame(t, final|opText, full)
	c.wantFrame(t, opText, full)
	c.wantFrame(t, opContinued, full)
	c.wantFrame(t, final|opContinued, "y")
}

func TestGet(t *testing.T) {
	before := time.Now()
	s, c, id := connected(t)
	info, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if info.SourceIP != "127.0.0.1" || info.UserAgent != "agent/1" || info.ConnectedAt.Before(before) || info.LastActiveAt.Before(info.ConnectedAt) {
		t.Errorf("info %+v, dialled at %v", info, before)
	}
	c.send(t, "x")
	c.want(t, "x")
	later, err := s.Get(t.Context(), id)
	if err != nil || !later.LastActiveAt.After(info.LastActiveAt) || !later.ConnectedAt.Equal(info.ConnectedAt) {
		t.Errorf("after a message: %+v, %v; before: %+v", later, err, info)
	}
}

func TestDeleteFlushesWhatWasPosted(t *testing.T) {
	s, c, id := connected(t)
	const messages = 300
	for i := range messages {
		if err := s.Post(t.Context(), id, fmt.Appendf(nil, "%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := s.Post(t.Context(), id, []byte("late")); !errors.Is(err, gateway.ErrGone) {
		t.Errorf("post after delete: %v", err)
	}
	if err := s.Delete(t.Context(), id); !errors.Is(err, gateway.ErrGone) {
		t.Errorf("delete after delete: %v", err)
	}
	for i := range messages {
		c.want(t, fmt.Sprint(i))
	}
	c.wantClose(t, 1000, "Connection Closed Normally")
}

func TestDeleteEndsTheMessagesOfTheClientToo(t *testing.T) {
	connect, message := newRecorder(), newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Default: message}})
	c := s.rawDial(t)
	id := connect.next(t).RequestContext.ConnectionID
	eventually(t, "deleted", func() bool { return s.Delete(t.Context(), id) == nil })
	c.wantCode(t, 1000)
	c.write(t, maskedFrame(final|opText, "after the close frame"))
	c.write(t, maskedFrame(final|opClose, closePayload(1000, "")))
	if _, _, err := c.readFrame(); err == nil {
		t.Error("still connected")
	}
	if len(message.events) != 0 {
		t.Error("message after the close frame was invoked")
	}
}

// dialBubble connects a client that reads only when told to, through a connection without any buffer.
func dialBubble(t *testing.T, b *bubble, connect *recorder) (c *raw, id string) {
	c = b.dial(t)
	synctest.Wait()
	return c, (<-connect.events).RequestContext.ConnectionID
}

func TestQueueLimits(t *testing.T) {
	for name, test := range map[string]struct{ size, fit int }{
		"messages": {1, socket.MaxQueuedMessages},
		"bytes":    {gateway.MaxMessage, socket.MaxQueuedBytes / gateway.MaxMessage},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connect := newRecorder()
				b := newBubble(t, gateway.Config{Routes: gateway.Routes{Connect: connect}})
				c, id := dialBubble(t, b, connect)
				data := []byte(bytesOf(test.size))
				for i := range test.fit {
					if err := b.Post(t.Context(), id, data); err != nil {
						t.Fatalf("message %d: %v", i, err)
					}
				}
				if err := b.Post(t.Context(), id, data); !errors.Is(err, gateway.ErrLimitExceeded) {
					t.Errorf("one message more: %v", err)
				}
				for range test.fit * max(1, test.size/gateway.MaxFrame) {
					if _, _, err := c.readFrame(); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if err := b.Post(t.Context(), id, data); err != nil {
					t.Errorf("after the client has read: %v", err)
				}
				c.readFrame()
			})
		})
	}
}

// A client that does not read for a moment misses nothing, however much is posted meanwhile.
func TestPostIsPushedBack(t *testing.T) {
	for name, size := range map[string]int{"messages": 1, "bytes": socket.MaxQueuedBytes / 600} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				connect := newRecorder()
				b := newBubble(t, gateway.Config{Routes: gateway.Routes{Connect: connect}})
				c, id := dialBubble(t, b, connect)
				const messages = 3 * socket.MaxQueuedMessages
				var reading sync.WaitGroup
				reading.Go(func() {
					time.Sleep(200 * time.Millisecond)
					for range messages {
						if _, _, err := c.readFrame(); err != nil {
							t.Error(err)
							return
						}
					}
				})
				data := []byte(bytesOf(size))
				for i := range messages {
					if err := b.Post(t.Context(), id, data); err != nil {
						t.Fatalf("message %d: %v", i, err)
					}
				}
				reading.Wait()
			})
		})
	}
}

func TestResponsesWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect := newRecorder()
		b := newBubble(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Default: echo}})
		c, id := dialBubble(t, b, connect)
		for range socket.MaxQueuedMessages {
			if err := b.Post(t.Context(), id, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		c.write(t, maskedFrame(final|opPing, "dropped: no room"))
		c.write(t, maskedFrame(final|opText, "answer"))
		synctest.Wait()
		for range socket.MaxQueuedMessages {
			c.wantFrame(t, final|opText, "x")
		}
		c.wantFrame(t, final|opText, "answer")
	})
}

func TestResponsesToADeadConnectionAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		connect, disconnect := newRecorder(), newRecorder()
		b := newBubble(t, gateway.Config{Routes: gateway.Routes{Connect: connect, Default: echo, Disconnect: disconnect}})
		c, id := dialBubble(t, b, connect)
		for range socket.MaxQueuedMessages {
			if err := b.Post(t.Context(), id, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		c.write(t, maskedFrame(final|opText, "waits for room"))
		synctest.Wait()
		c.Close()
		if code := disconnect.next(t).RequestContext.DisconnectStatusCode; code != 1006 {
			t.Errorf("$disconnect code %d", code)
		}
	})
}
