package clienttest

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/owt-signal/owt-signal/client"
	"github.com/owt-signal/owt-signal/internal/app"
)

// gapsOf collects what a client is told of gaps.
func gapsOf(gaps *[]client.Gap) func(*client.Options) {
	return func(o *client.Options) { o.OnGap = func(g client.Gap) { *gaps = append(*gaps, g) } }
}

// blackout makes the network's connections half-open, and lets it back after a while.
func (n *network) blackout(lasts time.Duration) {
	n.deafen()
	n.set(true)
	time.Sleep(lasts)
	n.set(false)
}

// What was acked arrives, once and in order, however often and for however long the
// receiver's network dies without a word.
func TestRecovery(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const blackouts, each = 30, 100
		lengths, pauses := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(3, 4))
		var gaps []client.Gap
		a, _ := w.dial("alice")
		b, network := w.dial("bob", gapsOf(&gaps))
		for i := range blackouts {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for j := range each {
					time.Sleep(time.Duration(pauses.IntN(1500)) * time.Millisecond)
					for a.Send(t.Context(), "bob", each*i+j) != nil && t.Context().Err() == nil { // the server has noticed that bob is gone
						time.Sleep(time.Second)
					}
				}
			}()
			network.blackout(time.Second + time.Duration(lengths.IntN(99_000))*time.Millisecond)
			<-done
			w.expect(b, each*i, each)
		}
		w.nothing(b)
		synctest.Wait()
		if len(gaps) > 0 {
			t.Errorf("gaps were told: %v", gaps)
		}
		if made := network.made(); made < blackouts {
			t.Errorf("there were %d connections", made)
		}
	})
}

// What a server that keeps nothing has posted to a connection that is dead is lost, and
// the receiver is told so.
func TestGapIsTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var gaps []client.Gap
		a, _ := w.dial("alice")
		b, network := w.dial("bob", gapsOf(&gaps))
		w.succeed(w.burst(a, "bob", 1, 2)())
		w.expect(b, 1, 2)
		network.deafen()
		w.succeed(w.burst(a, "bob", 3, 3)())
		time.Sleep(2 * time.Minute)
		w.succeed(w.burst(a, "bob", 6, 1)())
		w.expect(b, 6, 1)
		synctest.Wait()
		if len(gaps) != 1 || gaps[0].First != 3 || gaps[0].Last != 5 {
			t.Errorf("gaps %+v", gaps)
		}
	}, func(c *app.Config) { c.Limits.RecoverFor = 0 })
}
