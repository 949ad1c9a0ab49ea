package signal_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
)

// engine4 connects a client of Engine.IO 4 and leaves it to itself.
func (w *world) engine4(id signal.ConnectionID, h signal.Handshake) {
	h.Peer = signal.Peer{ID: id, Protocol: signal.EIO4}
	h.JoinsLate = h.Token != nil
	after, err := w.Connect(w.t.Context(), h)
	if err != nil {
		w.t.Fatal(err)
	}
	go after(w.t.Context())
	synctest.Wait()
}

// TestJoinedUnasked: a client that waits to be joined without asking for it is
// joined, before it is welcome if it has brought a token.
func TestJoinedUnasked(t *testing.T) {
	alice := "alice"
	for name, test := range map[string]struct {
		token *string
		want  []string
		again []string // once it asks all the same
	}{
		"without a token": {nil, []string{"opened", "admitted", "joined"}, []string{"joined"}},
		"with a token":    {&alice, []string{"opened", "admitted", "joined", "welcome alice"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.engine4("a", signal.Handshake{Token: test.token, Unasked: true})
				w.expect("a", test.want...)
				w.receive("a", signal.Join{})
				w.expect("a", append(test.want, test.again...)...)
			})
		})
	}
	t.Run("refused", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.Access = signal.Access{}
			w.engine4("a", signal.Handshake{Token: &alice, Unasked: true})
			w.expect("a", "opened", "admitted", "refused 2121")
		})
	})
}

// TestOnlineOnceJoined: a client that has to ask before it can send owns no name
// before it has asked, and is ended if it never does.
func TestOnlineOnceJoined(t *testing.T) {
	alice := "alice"
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.engine4("a", signal.Handshake{Token: &alice})
		time.Sleep(time.Second)
		w.send("b", 1, "alice")
		w.expect("b", "opened", "admitted", "welcome bob", "ack 1 2201")
		w.receive("a", signal.Join{})
		time.Sleep(time.Second)
		w.expect("a", "opened", "admitted", "joined", "welcome alice")
		w.send("b", 2, "alice")
		w.expect("b", "opened", "admitted", "welcome bob", "ack 1 2201", "ack 2 0")

		w.engine4("silent", signal.Handshake{Token: &alice})
		time.Sleep(time.Minute)
		w.expect("silent", "opened", "admitted", "refused 2110")
		w.expectClosed("silent", true)
		w.expectClosed("a", false)
	})
}

// TestJoinWithToken: a client may bring its token when it asks to join.
func TestJoinWithToken(t *testing.T) {
	alice, carol := "alice", "carol"
	inWorld(t, func(w *world) {
		w.json("b", "bob")
		w.engine4("a", signal.Handshake{})
		w.receive("a", signal.Join{Token: &alice})
		w.expect("a", "opened", "admitted", "joined", "welcome alice")
		w.send("b", 1, "alice")
		w.send("a", 0, "bob")
		w.expect("b", "opened", "admitted", "welcome bob", "ack 1 0", "0 from alice")
		w.receive("a", signal.Join{Token: &carol}) // it has one name for its life
		w.expect("a", "opened", "admitted", "joined", "welcome alice", "1 from bob", "ack 0 0", "joined")

		w.engine4("both", signal.Handshake{Token: &carol})
		w.receive("both", signal.Join{Token: &alice})
		time.Sleep(time.Second)
		w.expect("both", "opened", "admitted", "joined", "welcome carol")

		w.engine4("malformed", signal.Handshake{})
		w.receive("malformed", signal.Join{Token: new(string), Malformed: true})
		w.expect("malformed", "opened", "admitted", "refused 2121")
	})
	inWorld(t, func(w *world) {
		w.AuthenticateWithin = time.Second
		w.engine4("late", signal.Handshake{})
		time.Sleep(2 * time.Second)
		w.receive("late", signal.Join{Token: &alice})
		w.expect("late", "opened", "admitted", "refused 2120")
	})
}
