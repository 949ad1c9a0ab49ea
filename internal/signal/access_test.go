package signal_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// authenticator answers as it is told, and remembers what it was asked.
type authenticator struct {
	identity signal.Identity
	err      error
	needs    signal.Needs
	asked    []signal.Credentials
}

func (a *authenticator) Authenticate(_ context.Context, c signal.Credentials) (signal.Identity, error) {
	a.asked = append(a.asked, c)
	return a.identity, a.err
}

func (a *authenticator) Needs() signal.Needs { return a.needs }

func TestWhoIsLetIn(t *testing.T) {
	attributes := func(n, size int) map[string]string {
		all := make(map[string]string)
		for i := range n {
			all[fmt.Sprintf("%02d", i)] = strings.Repeat("x", size-2)
		}
		return all
	}
	for name, c := range map[string]struct {
		token string
		a     authenticator
		want  string
	}{
		"a name":              {"t", authenticator{identity: signal.Identity{User: "alice"}}, "welcome alice"},
		"longest token":       {strings.Repeat("x", signal.MaxToken), authenticator{identity: signal.Identity{User: "alice"}}, "welcome alice"},
		"token too long":      {strings.Repeat("x", signal.MaxToken+1), authenticator{identity: signal.Identity{User: "alice"}}, "refused 2121"},
		"token is not UTF-8":  {"\xff", authenticator{identity: signal.Identity{User: "alice"}}, "refused 2121"},
		"no token":            {"", authenticator{identity: signal.Identity{User: "alice"}}, "refused 2120"},
		"refused":             {"t", authenticator{err: fmt.Errorf("no: %w", signal.ErrRefused)}, "refused 2121"},
		"busy":                {"t", authenticator{err: signal.ErrBusy}, "refused 2102"},
		"unavailable":         {"t", authenticator{identity: signal.Identity{User: "alice"}, err: errors.New("down")}, "refused 2101"},
		"no name":             {"t", authenticator{}, "refused 2121"},
		"name too long":       {"t", authenticator{identity: signal.Identity{User: signal.UserName(strings.Repeat("x", signal.MaxUserName+1))}}, "refused 2121"},
		"expired":             {"t", authenticator{identity: signal.Identity{User: "alice", Expires: 1}}, "refused 2121"},
		"attributes":          {"t", authenticator{identity: signal.Identity{User: "alice", Attributes: attributes(16, 64)}}, "welcome alice"},
		"too many attributes": {"t", authenticator{identity: signal.Identity{User: "alice", Attributes: attributes(17, 3)}}, "refused 2121"},
		"attributes too long": {"t", authenticator{identity: signal.Identity{User: "alice", Attributes: attributes(16, 65)}}, "refused 2121"},
		"nameless attribute":  {"t", authenticator{identity: signal.Identity{User: "alice", Attributes: map[string]string{"": "x"}}}, "refused 2121"},
		"attribute not UTF-8": {"t", authenticator{identity: signal.Identity{User: "alice", Attributes: map[string]string{"x": "\xff"}}}, "refused 2121"},
	} {
		inWorld(t, func(w *world) {
			w.Access = signal.Access{Authenticator: &c.a}
			w.json("a", c.token)
			w.expect("a", "opened", "admitted", c.want)
			in := strings.HasPrefix(c.want, "welcome")
			if _, err := w.Store.Owner(w.t.Context(), "alice", w.Clock.Now()); (err == nil) != in {
				t.Errorf("%s: alice's owner: %v", name, err)
			}
			record, err := w.Store.Get(w.t.Context(), "a", w.Clock.Now())
			if err != nil || record.Revoked(w.Clock.Now()) == in || in && !reflect.DeepEqual(record.Attributes, c.a.identity.Attributes) {
				t.Errorf("%s: record %+v, %v", name, record, err)
			}
		})
	}
}

func TestTheZeroAccessLetsNobodyIn(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Access = signal.Access{}
		w.json("a", "alice")
		w.json("b", "")
		w.expect("a", "opened", "admitted", "refused 2121")
		w.expect("b", "opened", "admitted", "refused 2120")
	})
}

func TestAnonymousBesideAnAuthenticator(t *testing.T) {
	inWorld(t, func(w *world) {
		a := &authenticator{err: signal.ErrRefused}
		w.Access = signal.Access{Authenticator: a, Anonymous: true}
		w.json("a", "")
		w.json("b", "wrong")
		w.connect("c", signal.EIO4, nil)
		w.receive("c", signal.Authenticate{Number: 0, Malformed: true})
		if got := w.events("a"); len(got) != 3 || !strings.HasSuffix(got[2], "@anonymous") {
			t.Errorf("without a token: %q", got)
		}
		w.expect("b", "opened", "admitted", "refused 2121")
		w.expect("c", "opened", "admitted", "refused 0 2121")
		if len(a.asked) != 1 {
			t.Errorf("asked of %d tokens, of which there was one", len(a.asked))
		}
	})
}

// What a handshake said is kept for a token that comes later, if somebody asks
// for it.
func TestWhatTheAuthenticatorNeeds(t *testing.T) {
	client := signal.Client{Type: "Web", Version: "5.0", Address: "192.0.2.1", Headers: map[string]string{"origin": "https://a.example"}}
	for _, needs := range []bool{false, true} {
		inWorld(t, func(w *world) {
			a := &authenticator{identity: signal.Identity{User: "alice"}, needs: signal.Needs{Client: needs}}
			w.Access = signal.Access{Authenticator: a}
			after, err := w.Connect(w.t.Context(), signal.Handshake{Peer: signal.Peer{ID: "a", Protocol: signal.EIO4}, Client: client})
			if err != nil {
				t.Fatal(err)
			}
			after(w.t.Context())
			record, err := w.Store.Get(w.t.Context(), "a", w.Clock.Now())
			if err != nil || (record.Client.Len() > 0) != needs {
				t.Errorf("needed %v: record %+v, %v", needs, record, err)
			}
			w.receive("a", signal.Authenticate{Number: 0, Token: "secret"})
			var want signal.Client
			if needs {
				want = client
			}
			if len(a.asked) != 1 || !reflect.DeepEqual(a.asked[0], signal.Credentials{Token: "secret", Client: want}) {
				t.Errorf("needed %v, asked %+v", needs, a.asked)
			}
			record, err = w.Store.Get(w.t.Context(), "a", w.Clock.Now())
			if err != nil || strings.Contains(fmt.Sprintf("%+v", record), "secret") {
				t.Errorf("record %+v, %v", record, err)
			}
		})
	}
}

// A repeated authentication is answered by who asks, not by what the first one
// was.
func TestAuthenticatingAgainWhenNobodyCanSay(t *testing.T) {
	inWorld(t, func(w *world) {
		a := &authenticator{identity: signal.Identity{User: "alice"}}
		w.Access = signal.Access{Authenticator: a}
		w.connect("a", signal.EIO4, nil)
		w.receive("a", signal.Authenticate{Number: 0, Token: "t"})
		a.err = errors.New("down")
		w.receive("a", signal.Authenticate{Number: 1, Token: "t"})
		w.receive("a", signal.Authenticate{Number: 2}) // asks for the name that it has
		w.expect("a", "opened", "admitted", "welcome alice", "denied 1 2101", "welcome alice")
	})
}

func TestSources(t *testing.T) {
	for _, way := range signal.AllSources {
		if !signal.Sources(nil).Accept(way) || !signal.AllSources.Accept(way) || (signal.Sources{}).Accept(way) {
			t.Errorf("%s: not accepted by default, or by none", way)
		}
	}
}

// A Socket.IO client that authenticates with its handshake is let in once that
// is done: by then it is welcome, or knows why not.
func TestJoinWaitsForTheHandshake(t *testing.T) {
	for name, c := range map[string]struct {
		takes time.Duration
		err   error
		want  []string
	}{
		"let in":    {2 * time.Second, nil, []string{"opened", "admitted", "joined", "welcome alice"}},
		"refused":   {2 * time.Second, signal.ErrRefused, []string{"opened", "admitted", "refused 2121"}},
		"not known": {2 * time.Second, errors.New("down"), []string{"opened", "admitted", "refused 2101"}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.Access = signal.Access{Authenticator: late{&authenticator{identity: signal.Identity{User: "alice"}, err: c.err}, c.takes}}
				token := "t"
				h := handshake("a", signal.EIO4, &token)
				h.JoinsLate = true
				after, err := w.Connect(w.t.Context(), h)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(w.t.Context())
				defer cancel()
				go after(ctx)
				w.receive("a", signal.Join{})
				time.Sleep(16 * time.Second)
				w.expect("a", c.want...)
				w.expectClosed("a", c.err != nil)
			})
		})
	}
}

// late takes its time.
type late struct {
	*authenticator
	takes time.Duration
}

func (l late) Authenticate(ctx context.Context, c signal.Credentials) (signal.Identity, error) {
	select {
	case <-time.After(l.takes):
		return l.authenticator.Authenticate(ctx, c)
	case <-ctx.Done():
		return signal.Identity{}, ctx.Err()
	}
}

// What a client sends that is being refused is answered for itself: why it is
// refused, it is told once, by who refuses it.
func TestFramesOfARefusedClient(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Access = signal.Access{Authenticator: &authenticator{err: signal.ErrRefused}}
		w.Pusher = deaf{w}
		w.connect("a", signal.EIO4, nil)
		w.send("a", 0, "bob")
		w.receive("a", signal.Authenticate{Number: 1, Token: "t"})
		w.send("a", 2, "bob")
		w.receive("a", signal.Authenticate{Number: 3, Token: "t"})
		w.receive("a", signal.Join{})
		w.expect("a", "opened", "admitted", "stored", "ack 0 2120", "refused 1 2121", "ack 2 2120", "denied 3 2121")
		time.Sleep(lane.LeaseTimeout + time.Millisecond) // whoever refused it must have died before it could close it
		w.send("a", 4, "bob")
		w.expect("a", "opened", "admitted", "stored", "ack 0 2120", "refused 1 2121", "ack 2 2120", "denied 3 2121", "ack 4 2120", "closing 2121")
	})
}

func TestRefusalWithoutANumber(t *testing.T) {
	inWorld(t, func(w *world) {
		w.Access = signal.Access{}
		w.connect("a", signal.EIO4, nil)
		w.receive("a", signal.Authenticate{Number: signal.NoNumber, Token: "t"})
		w.expect("a", "opened", "admitted", "closing 2121")
	})
}
