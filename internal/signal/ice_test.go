package signal_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// servers are ICE servers that say whose they are.
func servers(user signal.UserName, _ lane.Instant) signal.ICE {
	return signal.ICE{Servers: []byte(user), Expires: time.Hour}
}

// asks is a frame that asks for ICE servers.
func (w *world) asks(id signal.ConnectionID, n int64) {
	w.receive(id, signal.Send{Number: n, Frame: lane.Frame{Asks: lane.AsksICE}})
}

// ice is the ICE servers that a connection was told of, in its last event.
func (w *world) ice(id signal.ConnectionID) signal.ICE {
	switch e := w.got[id][len(w.got[id])-1].(type) {
	case signal.Welcome:
		return e.ICE
	case signal.ICEAnswer:
		return e.ICE
	default:
		return signal.ICE{}
	}
}

// Those who have authenticated are told of ICE servers, and nobody else.
func TestICE(t *testing.T) {
	inWorld(t, func(w *world) {
		w.json("none", "bob")
		w.receive("none", signal.QueryICE{})
		w.expect("none", "opened", "admitted", "welcome bob", "ice")
		if got := w.ice("none"); got.Servers != nil || got.Expires != 0 {
			t.Errorf("without any configured: %+v", got)
		}
		w.ICE = servers
		w.json("a", "alice")
		told := w.ice("a")
		w.receive("a", signal.QueryICE{})
		if asked := w.ice("a"); string(told.Servers) != "alice" || string(asked.Servers) != "alice" || asked.Expires != time.Hour {
			t.Errorf("told of %+v, then %+v", told, asked)
		}
		w.connect("stranger", signal.EIO4, nil)
		w.receive("stranger", signal.QueryICE{})
		w.asks("stranger", 1)
		w.expect("stranger", "opened", "admitted", "failed", "stored")
		w.receive("nobody", signal.QueryICE{})
		w.expect("nobody", "superseded")
	})
}

// A frame that asks has its place in the order of the numbers, and its answer, as
// often as it comes.
func TestICEInOrder(t *testing.T) {
	inWorld(t, func(w *world) {
		w.ICE = servers
		w.connect("a", signal.EIO4, nil)
		w.asks("a", 1) // held until it is known whose connection it is
		w.receive("a", signal.Authenticate{Number: 0, Token: "alice"})
		time.Sleep(time.Second)
		w.json("b", "bob")
		w.asks("a", 3)
		w.send("a", 2, "bob")
		synctest.Wait()
		w.asks("a", 3)
		w.send("a", 4, "bob")
		w.expect("b", "opened", "admitted", "welcome bob", "2 from alice", "4 from alice")
		w.expect("a", "opened", "admitted", "stored", "welcome alice", "ice 1", "stored", "ack 2 0", "ice 3", "ice 3", "ack 4 0")
	})
}

// Where numbers are none it is answered under its id, and takes from the bucket.
func TestICEWithoutANumber(t *testing.T) {
	inWorld(t, func(w *world) {
		w.ICE, w.Rate = servers, lane.Rate{PerSecond: 1, Burst: 2}
		w.json("a", "alice")
		for id := range int64(3) {
			w.receive("a", signal.Send{Number: signal.NoNumber, AckAs: &id, ID: fmt.Sprint(id), Frame: lane.Frame{Asks: lane.AsksICE}})
			synctest.Wait()
		}
		w.expect("a", "opened", "admitted", "welcome alice", "ice 0", "ice 1", "ack 2 2102")
	})
}
