package gateway_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/owt-signal/owt-signal/internal/gateway"
)

// early is a gateway that takes posts during the handshake, whose Connect
// function does what it is given with the connection's id.
func early(t *testing.T, connect func(g *gateway.Gateway, id string) (response, error)) (*server, *recorder) {
	t.Helper()
	disconnects := newRecorder()
	var s *server
	s = serve(t, gateway.Config{Early: true, Routes: gateway.Routes{
		Connect: function(func(_ context.Context, e *event) (response, error) {
			return connect(s.Gateway, e.RequestContext.ConnectionID)
		}),
		Disconnect: disconnects,
		Default:    echo,
	}})
	return s, disconnects
}

func TestEarlyPostsFollowTheHandshake(t *testing.T) {
	s, _ := early(t, func(g *gateway.Gateway, id string) (response, error) {
		for _, text := range []string{"one", "two", "three"} {
			if err := g.Post(t.Context(), id, []byte(text)); err != nil {
				t.Errorf("post: %v", err)
			}
		}
		return ok, nil
	})
	c := s.dial(t, "/default")
	for _, text := range []string{"one", "two", "three"} {
		c.want(t, text)
	}
	c.send(t, "hello")
	c.want(t, "hello")
}

func TestEarlyDelete(t *testing.T) {
	s, disconnects := early(t, func(g *gateway.Gateway, id string) (response, error) {
		if err := errors.Join(g.Post(t.Context(), id, []byte("go away")), g.Delete(t.Context(), id)); err != nil {
			t.Errorf("post and delete: %v", err)
		}
		if err := g.Post(t.Context(), id, nil); !errors.Is(err, gateway.ErrGone) {
			t.Errorf("post after delete: %v", err)
		}
		return ok, nil
	})
	c := s.dial(t, "/default")
	c.want(t, "go away")
	c.wantClose(t, 1000, "Connection Closed Normally")
	if e := disconnects.next(t); e.RequestContext.DisconnectStatusCode != 1000 {
		t.Errorf("$disconnect with %d", e.RequestContext.DisconnectStatusCode)
	}
}

func TestEarlyPostsOfARefusedHandshakeAreDropped(t *testing.T) {
	var refused string
	s, disconnects := early(t, func(g *gateway.Gateway, id string) (response, error) {
		refused = id
		if err := g.Post(t.Context(), id, []byte("never")); err != nil {
			t.Errorf("post: %v", err)
		}
		return response{StatusCode: http.StatusTeapot}, nil
	})
	if _, answer, err := s.try("/default"); err == nil || answer == nil || answer.StatusCode != http.StatusTeapot {
		t.Fatalf("handshake: %v, %v", answer, err)
	}
	// The handshake's answer comes before its end.
	eventually(t, "the connection's end", func() bool {
		return errors.Is(s.Post(t.Context(), refused, nil), gateway.ErrGone)
	})
	if n := len(disconnects.events); n != 0 {
		t.Errorf("%d times $disconnect", n)
	}
}

func TestCloseDuringAnEarlyHandshake(t *testing.T) {
	closed := make(chan error, 1)
	s, _ := early(t, func(g *gateway.Gateway, id string) (response, error) {
		if err := g.Post(t.Context(), id, []byte("hello")); err != nil {
			t.Errorf("post: %v", err)
		}
		go func() { closed <- g.Close(context.Background()) }()
		eventually(t, "the connection's end", func() bool { return errors.Is(g.Post(t.Context(), id, nil), gateway.ErrGone) })
		return ok, nil
	})
	c := s.dial(t, "/default")
	c.want(t, "hello")
	c.wantClose(t, 1001, "Going away")
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
}

// TestCutDuringAnEarlyHandshake: there is no socket yet that could be cut. The
// handshake may succeed all the same.
func TestCutDuringAnEarlyHandshake(t *testing.T) {
	s, _ := early(t, func(g *gateway.Gateway, _ string) (response, error) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := g.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("close: %v", err)
		}
		return ok, nil
	})
	conn, answer, err := s.try("/default")
	switch {
	case err == nil:
		(&client{conn}).wantClose(t, 1001, "Going away")
	case answer == nil || answer.StatusCode != http.StatusBadGateway:
		t.Errorf("handshake: %v, %v", answer, err)
	}
}
