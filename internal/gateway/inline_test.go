package gateway_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/gateway/socket"
)

// TestInline is the tests of what does not depend on how functions are invoked, with functions invoked inline.
func TestInline(t *testing.T) {
	inline = true
	t.Cleanup(func() { inline = false })
	for name, test := range map[string]func(*testing.T){
		"responses":               TestMessageResponses,
		"no route":                TestMessageWithoutRouteIsForbidden,
		"limits":                  TestInboundLimits,
		"frame too large":         TestClosingHandshakeCompletesBehindAFrameTooLarge,
		"ping":                    TestPingIsAnswered,
		"any input":               TestAnyInputIsSurvived,
		"log":                     TestLogHasNoMessageData,
		"close gives up":          TestCloseGivesUpWithItsContext,
		"disconnect tells why":    TestDisconnectTellsWhy,
		"disconnect comes once":   TestDisconnectComesOnceAfterTheSocketIsClosed,
		"posts keep order":        TestPostKeepsTheOrderOfOneCaller,
		"delete flushes":          TestDeleteFlushesWhatWasPosted,
		"delete ends messages":    TestDeleteEndsTheMessagesOfTheClientToo,
		"queue limits":            TestQueueLimits,
		"responses wait for room": TestResponsesWaitForRoom,
		"dead connection":         TestResponsesToADeadConnectionAreDropped,
		"idle timeout":            TestIdleTimeout,
		"duration":                TestDuration,
		"write stall":             TestWriteStall,
	} {
		t.Run(name, test)
	}
}

// Messages of one connection are handled one after the other, in order, however they are cut into reads.
func TestInlineKeepsTheOrder(t *testing.T) {
	var under atomic.Int32
	s := serve(t, gateway.Config{Inline: true, Routes: gateway.Routes{
		Default: function(func(_ context.Context, e *event) (response, error) {
			if under.Add(1) != 1 {
				t.Error("two messages at a time")
			}
			defer under.Add(-1)
			return response{Body: e.Body}, nil
		}),
	}})
	c := s.rawDial(t)
	const messages = 2000
	body := func(i int) string { return fmt.Sprint(i, bytesOf(i%7*i)) } // up to some 12 KB: several in a read, and cut by others
	go func() {
		var frames []byte
		for i := range messages {
			if frames = append(frames, maskedFrame(final|opText, body(i))...); len(frames) > 40_000 {
				c.Write(frames)
				frames = frames[:0]
			}
		}
		c.Write(frames)
	}()
	for i := range messages {
		c.wantFrame(t, final|opText, body(i))
	}
}

// A client that sends a lot before it reads gets all of its answers.
func TestInlineAnswersASlowReader(t *testing.T) {
	s := serve(t, gateway.Config{Inline: true, Routes: gateway.Routes{Default: echo}})
	c := s.rawDial(t)
	const messages, size = 3 * socket.MaxQueuedMessages, 4000 // the answers exceed what is queued, and what TCP keeps
	go func() {
		for range messages {
			c.Write(maskedFrame(final|opText, bytesOf(size)))
		}
	}()
	time.Sleep(100 * time.Millisecond)
	for range messages {
		c.wantFrame(t, final|opText, bytesOf(size))
	}
}

// What is posted to a connection whose own message is being handled goes out when that is done, or is more than may wait.
func TestInlinePostsDuringAMessage(t *testing.T) {
	release, posted := make(chan struct{}), make(chan string)
	s := serve(t, gateway.Config{Inline: true, Routes: gateway.Routes{
		Default: function(func(_ context.Context, e *event) (response, error) {
			posted <- e.RequestContext.ConnectionID
			<-release
			return response{Body: "answer"}, nil
		}),
	}})
	c := s.rawDial(t)
	c.write(t, maskedFrame(final|opText, "x"))
	id := <-posted
	for i := range 300 {
		if err := s.Post(t.Context(), id, []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 256 { // at least
		c.wantFrame(t, final|opText, fmt.Sprint(i))
	}
	close(release)
	for i := 256; i < 300; i++ {
		c.wantFrame(t, final|opText, fmt.Sprint(i))
	}
	c.wantFrame(t, final|opText, "answer")
}

// A function that outlasts its deadline is waited for, and its answer is an error.
func TestInlineDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, gateway.Config{Inline: true, Routes: gateway.Routes{
			Default: function(func(ctx context.Context, e *event) (response, error) {
				deadline, ok := ctx.Deadline()
				if left := time.Until(deadline); !ok || left != gateway.DefaultIntegrationTimeout {
					t.Errorf("%v are left", left)
				}
				switch e.Body {
				case "waits":
					<-ctx.Done()
				case "waits by a derived context":
					derived, cancel := context.WithTimeout(ctx, time.Hour)
					defer cancel()
					<-derived.Done()
				case "does not look":
					time.Sleep(gateway.DefaultIntegrationTimeout)
				default:
					time.Sleep(gateway.DefaultIntegrationTimeout - 1)
					return response{Body: fmt.Sprint(ctx.Err())}, nil
				}
				if ctx.Err() != context.DeadlineExceeded {
					t.Errorf("%s: %v", e.Body, ctx.Err())
				}
				return response{Body: "too late"}, nil
			}),
		}})
		c := b.dial(t)
		for _, body := range []string{"waits", "waits by a derived context", "does not look"} {
			start := time.Now()
			c.write(t, maskedFrame(final|opText, body))
			_, payload, err := c.readFrame()
			if err != nil || payload[:12] != `{"message": ` || time.Since(start) != gateway.DefaultIntegrationTimeout {
				t.Errorf("%s: %q, %v after %v", body, payload, err, time.Since(start))
			}
		}
		c.write(t, maskedFrame(final|opText, "just in time"))
		c.wantFrame(t, final|opText, "<nil>")
	})
}

// An invocation's context ends with it, and with the gateway; whoever asks late is told.
func TestInlineContext(t *testing.T) {
	contexts := make(chan context.Context, 2)
	s := serve(t, gateway.Config{Inline: true, Routes: gateway.Routes{
		Default: function(func(ctx context.Context, e *event) (response, error) {
			if e.Body == "wait" {
				ctx.Done()
			}
			contexts <- ctx
			return response{Body: fmt.Sprint(ctx.Err())}, nil
		}),
	}})
	c := s.dial(t, "/default")
	for _, body := range []string{"wait", "do not wait"} {
		c.send(t, body)
		c.want(t, "<nil>")
		ctx := <-contexts
		select {
		case <-ctx.Done():
		case <-time.After(patience):
			t.Errorf("%s: the context has not ended", body)
		}
		if ctx.Err() != context.Canceled || ctx.Value("key") != nil {
			t.Errorf("%s: %v", body, ctx.Err())
		}
	}
}
