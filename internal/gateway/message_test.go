package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

func TestMessageResponses(t *testing.T) {
	var lastRequest atomic.Pointer[event]
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Default: function(func(_ context.Context, e *event) (response, error) {
			lastRequest.Store(e)
			switch e.Body {
			case "fail":
				return response{StatusCode: 200, Body: "not sent"}, errors.New("thrown")
			case "panic":
				panic(e.Body)
			case "silence":
				return ok, nil
			case "500":
				return response{StatusCode: 500, Body: "body of a 500"}, nil
			case "large":
				return response{Body: bytesOf(gateway.MaxMessage)}, nil
			case "too large":
				return response{Body: bytesOf(gateway.MaxMessage + 1)}, nil
			}
			return response{Body: "re: " + e.Body}, nil
		}),
	}})
	c := s.dial(t, "/default")
	internal := func() string {
		context := lastRequest.Load().RequestContext
		return fmt.Sprintf(`{"message": "Internal server error", "connectionId":"%s", "requestId":"%s"}`, context.ConnectionID, context.RequestID)
	}
	for _, body := range []string{"fail", "panic", "too large"} {
		c.send(t, body)
		if got := c.receive(t); got != internal() {
			t.Errorf("%s: received %s, want %s", body, got, internal())
		}
	}
	c.send(t, "silence")
	c.send(t, "500") // nothing came for silence, so what comes is for this
	c.want(t, "body of a 500")
	c.send(t, "large")
	c.want(t, bytesOf(gateway.MaxMessage))
	c.send(t, "hello")
	c.want(t, "re: hello")
	c.send(t, "")
	c.want(t, "re: ")
}

func TestMessageWithoutRouteIsForbidden(t *testing.T) {
	connect := newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{Connect: connect}})
	c := s.dial(t, "/default")
	id := connect.next(t).RequestContext.ConnectionID
	for range 2 {
		c.send(t, "x")
		got := c.receive(t)
		prefix := `{"message": "Forbidden", "connectionId":"` + id + `", "requestId":"`
		if request, is := strings.CutPrefix(got, prefix); !is || !idPattern.MatchString(strings.TrimSuffix(request, `"}`)) {
			t.Errorf("received %s", got)
		}
	}
}

func TestMessagesAreInvokedConcurrently(t *testing.T) {
	const messages = 50
	var together sync.WaitGroup
	together.Add(messages)
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Default: function(func(_ context.Context, e *event) (response, error) {
			together.Done()
			together.Wait() // returns only if all are under way at once
			return response{Body: e.Body}, nil
		}),
	}})
	c := s.dial(t, "/default")
	want := map[string]bool{}
	for i := range messages {
		body := fmt.Sprint(i)
		want[body] = true
		c.send(t, body)
	}
	for range messages {
		delete(want, c.receive(t))
	}
	if len(want) != 0 {
		t.Errorf("no answers to %v", want)
	}
}

func TestMessageInvocationLimit(t *testing.T) {
	started := make(chan struct{}, 2*gateway.MaxInvocations)
	release := make(chan struct{})
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Default: function(func(context.Context, *event) (response, error) {
			started <- struct{}{}
			<-release
			return ok, nil
		}),
	}})
	c := s.dial(t, "/default")
	for range gateway.MaxInvocations + 1 {
		c.send(t, "x")
	}
	eventually(t, "all allowed invocations run", func() bool { return len(started) == gateway.MaxInvocations })
	time.Sleep(20 * time.Millisecond)
	if n := len(started); n != gateway.MaxInvocations {
		t.Errorf("%d invocations under way, want %d", n, gateway.MaxInvocations)
	}
	release <- struct{}{}
	eventually(t, "one more runs", func() bool { return len(started) == gateway.MaxInvocations+1 })
	close(release)
}

func TestInboundLimits(t *testing.T) {
	frames := func(opcode byte, sizes ...int) (all []byte) {
		for i, size := range sizes {
			first := opcode
			if i > 0 {
				first = opContinued
			}
			if i == len(sizes)-1 {
				first |= final
			}
			all = append(all, maskedFrame(first, bytesOf(size))...)
		}
		return all
	}
	const frame, message = gateway.MaxFrame, gateway.MaxMessage
	for _, test := range []struct {
		name  string
		input []byte
		size  int // of the message that comes through
		code  int // or of the close frame that comes back
	}{
		{"largest frame", frames(opText, frame), frame, 0},
		{"frame too large", frames(opText, frame+1), 0, 1009},
		{"frame far too large", frames(opText, 1<<17), 0, 1009},
		{"frame too large, announced only", []byte{final | opText, 0x80 | 126, 0x80, 0x01, 1, 2, 3, 4}, 0, 1009},
		{"frame of 2^64-1 bytes", []byte{final | opText, 0x80 | 127, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4}, 0, 1009},
		{"second frame too large", frames(opText, 10, frame+1), 0, 1009},
		{"largest message", frames(opText, frame, frame, frame, frame), message, 0},
		{"message too large", frames(opText, frame, frame, frame, frame, 1), 0, 1009},
		{"message far too large", frames(opText, frame, frame, frame, frame, frame, frame), 0, 1009},
		{"empty frames", frames(opText, 0, 0, 5, 0), 5, 0},
		{"binary", frames(opBinary, 5), 0, 1003},
		{"empty binary", frames(opBinary, 0), 0, 1003},
		{"invalid text", maskedFrame(final|opText, "a\xffb"), 0, 1007},
		{"cut text", maskedFrame(final|opText, "ä"[:1]), 0, 1007},
		{"text cut between frames", append(maskedFrame(opText, "ä"[:1]), maskedFrame(final|opContinued, "ä"[1:])...), 2, 0},
		{"ping within message", append(append(maskedFrame(opText, "a"), maskedFrame(final|opPing, "")...), maskedFrame(final|opContinued, "b")...), 2, 0},
		{"unmasked", []byte{final | opText, 1, 'x'}, 0, 1002},
		{"reserved bit", maskedFrame(final|0x40|opText, "x"), 0, 1002},
		{"reserved opcode", maskedFrame(final|0x3, "x"), 0, 1002},
		{"continuation of nothing", maskedFrame(final|opContinued, "x"), 0, 1002},
		{"text within text", append(maskedFrame(opText, "x"), maskedFrame(final|opText, "x")...), 0, 1002},
		{"fragmented ping", maskedFrame(opPing, "x"), 0, 1002},
		{"long ping", maskedFrame(final|opPing, bytesOf(126)), 0, 1002},
		{"close of one byte", maskedFrame(final|opClose, "x"), 0, 1002},
		{"close with 999", maskedFrame(final|opClose, closePayload(999, "")), 0, 1002},
		{"close with 1005", maskedFrame(final|opClose, closePayload(1005, "")), 0, 1002},
		{"close with 5000", maskedFrame(final|opClose, closePayload(5000, "")), 0, 1002},
		{"close with a reason that is no text", maskedFrame(final|opClose, closePayload(1000, "\xff")), 0, 1002},
	} {
		t.Run(test.name, func(t *testing.T) {
			message, disconnect := newRecorder(), newRecorder()
			s := serve(t, gateway.Config{Routes: gateway.Routes{Default: message, Disconnect: disconnect}})
			c := s.rawDial(t)
			go c.Write(test.input)
			if test.code == 0 {
				if got := len(message.next(t).Body); got != test.size {
					t.Errorf("message of %d bytes, want %d", got, test.size)
				}
				return
			}
			c.wantCode(t, test.code)
			go c.Write(maskedFrame(final|opClose, closePayload(test.code, "")))
			if len(message.events) != 0 {
				t.Error("refused message reached the function")
			}
			c.Close()
			if got := disconnect.next(t).RequestContext.DisconnectStatusCode; got != int64(test.code) {
				t.Errorf("$disconnect code %d, want %d", got, test.code)
			}
		})
	}
}

func TestClosingHandshakeCompletesBehindAFrameTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disconnect := newRecorder()
		c := newBubble(t, gateway.Config{Routes: gateway.Routes{Disconnect: disconnect}}).dial(t)
		start := time.Now()
		go c.Write(maskedFrame(final|opText, bytesOf(gateway.MaxFrame+1)))
		c.wantCode(t, 1009)
		c.write(t, maskedFrame(final|opClose, closePayload(1009, "")))
		disconnect.next(t)
		if d := time.Since(start); d != 0 {
			t.Errorf("took %v: the client's close frame was not seen", d)
		}
	})
}

func TestPingIsAnswered(t *testing.T) {
	s := serve(t, gateway.Config{Routes: gateway.Routes{Default: echo}})
	c := s.rawDial(t)
	for _, payload := range []string{"", "ping", bytesOf(125)} {
		c.write(t, maskedFrame(final|opPing, payload))
		c.wantFrame(t, final|opPong, payload)
	}
	c.write(t, maskedFrame(final|opPong, "unasked"))
	c.write(t, maskedFrame(final|opText, "still here"))
	c.wantFrame(t, final|opText, "still here")
}

func TestAnyInputIsSurvived(t *testing.T) {
	disconnect := newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{Default: echo, Disconnect: disconnect}})
	witness := s.dial(t, "/default")
	rapid.Check(t, func(rt *rapid.T) {
		c := s.rawDial(t)
		for _, input := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 300), 0, 4).Draw(rt, "inputs") {
			if _, err := c.Write(input); err != nil {
				break // closed for what came before
			}
		}
		c.Close()
		disconnect.next(t)
		witness.send(t, "alive")
		witness.want(t, "alive")
	})
}

func TestLogHasNoMessageData(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	handler := slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), &slog.HandlerOptions{Level: slog.LevelDebug})
	s := serve(t, gateway.Config{Log: slog.New(handler), Routes: gateway.Routes{
		Default: function(func(_ context.Context, e *event) (response, error) {
			if e.Body == "secret fail" {
				return ok, errors.New("thrown")
			}
			return response{Body: e.Body + bytesOf(gateway.MaxMessage)}, nil
		}),
	}})
	c := s.dial(t, "/default")
	for _, body := range []string{"secret fail", "secret large"} {
		c.send(t, body)
		c.receive(t)
	}
	c.Close(1000, "secret reason")
	eventually(t, "all is logged", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(log.String(), "disconnected")
	})
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"function failed", "route=$default", "error=thrown", "connection=", "request=", "response too large", "code=1000"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log has no %q:\n%s", want, log.String())
		}
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("log has message data:\n%s", log.String())
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
