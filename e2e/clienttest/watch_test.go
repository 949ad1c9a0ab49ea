package clienttest

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever watches sees a user come and go, through takeovers, lost connections and
// renewals of either, each change once.
func TestWatch(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, network := w.dial("alice")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		seen := make(chan bool, 10)
		go func() {
			for online, err := range a.Watch(ctx, "bob") {
				if err != nil {
					return
				}
				seen <- online
			}
		}()
		expect := func(want ...bool) {
			t.Helper()
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, online := range want {
				if len(seen) == 0 {
					t.Fatalf("bob's being online is not told: %v", want)
				}
				if got := <-seen; got != online {
					t.Errorf("bob is online: %v, want %v", got, online)
				}
			}
			if len(seen) > 0 {
				t.Errorf("bob is online: %v, too", <-seen)
			}
		}
		expect(false)
		b, _ := w.dial("bob")
		expect(true)
		_ = b.Close()
		expect(false)
		network.set(true) // he comes while alice's network is away
		network.cut()
		b, _ = w.dial("bob")
		expect()
		network.set(false)
		expect(true)
		network.cut()
		expect()
		_ = b.Close()
		expect(false)
	})
}
