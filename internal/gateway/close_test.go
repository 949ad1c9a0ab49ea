package gateway_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

func TestCloseSaysGoingAwayAndWaits(t *testing.T) {
	release := make(chan struct{})
	var finished [2]bool
	disconnect := newRecorder()
	started := make(chan struct{}, 1)
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Default: function(func(context.Context, *event) (response, error) {
			started <- struct{}{}
			<-release
			finished[0] = true
			return ok, nil
		}),
		Disconnect: function(func(ctx context.Context, e *event) (response, error) {
			disconnect.Invoke(ctx, e)
			<-release
			finished[1] = true
			return ok, nil
		}),
	}})
	c := s.dial(t, "/default")
	c.send(t, "x")
	<-started
	closed := make(chan error)
	go func() { closed <- s.Close(context.WithoutCancel(t.Context())) }()
	c.wantClose(t, 1001, "Going away")
	e := disconnect.next(t).RequestContext
	if e.DisconnectStatusCode != 1001 || *e.DisconnectReason != "Going away" {
		t.Errorf("$disconnect %d %q", e.DisconnectStatusCode, *e.DisconnectReason)
	}
	if _, res, _ := s.try("/default"); res == nil || res.StatusCode != 503 {
		t.Errorf("handshake while closing: %v", res)
	}
	select {
	case err := <-closed:
		t.Fatalf("closed with %v before the functions returned", err)
	case <-time.After(20 * time.Millisecond):
	}
	close(release)
	if err := <-closed; err != nil || finished != [2]bool{true, true} {
		t.Errorf("close: %v, functions finished: %v", err, finished)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("second close: %v", err)
	}
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := make(chan context.Context, 1)
		disconnect := newRecorder()
		b := newBubble(t, gateway.Config{Routes: gateway.Routes{
			Default: function(func(ctx context.Context, _ *event) (response, error) {
				started <- ctx
				<-ctx.Done()
				return ok, ctx.Err()
			}),
			Disconnect: disconnect,
		}})
		c := b.dial(t)
		c.write(t, maskedFrame(final|opText, "x"))
		invocation := <-started
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := b.Close(ctx) // c does not even read the close frame
		if d := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || d != time.Second {
			t.Errorf("close: %v after %v", err, d)
		}
		synctest.Wait()
		if !errors.Is(invocation.Err(), context.Canceled) {
			t.Errorf("invocation goes on: %v", invocation.Err())
		}
		if _, _, err := c.readFrame(); err == nil {
			t.Error("socket is open")
		}
		if len(disconnect.events) != 1 {
			t.Errorf("%d disconnects", len(disconnect.events))
		}
	})
}

func TestCloseDuringAHandshake(t *testing.T) {
	release, started := make(chan struct{}), make(chan struct{})
	disconnect := newRecorder()
	s := serve(t, gateway.Config{Routes: gateway.Routes{
		Connect: function(func(context.Context, *event) (response, error) {
			close(started)
			<-release
			return ok, nil
		}),
		Disconnect: disconnect,
	}})
	c := s.rawConn(t)
	c.write(t, []byte(upgradeRequest))
	<-started
	closed := make(chan error)
	go func() { closed <- s.Close(context.WithoutCancel(t.Context())) }()
	eventually(t, "gateway is closing", func() bool {
		_, res, _ := s.try("/default")
		return res != nil && res.StatusCode == 503
	})
	close(release)
	c.wantSwitch(t) // the function has connected it: so it gets a $disconnect, too
	c.wantCode(t, 1001)
	c.write(t, maskedFrame(final|opClose, closePayload(1001, "")))
	if err := <-closed; err != nil {
		t.Error(err)
	}
	disconnect.next(t)
}

func TestCloseOfAnUnusedGateway(t *testing.T) {
	if err := gateway.New(gateway.Config{}).Close(t.Context()); err != nil {
		t.Error(err)
	}
}
