package sim

import (
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// scenario draws what the world is like and what its people do. It returns when
// that is over.
func (s *Sim) scenario() time.Duration {
	s.drawFaults()
	users := 2 + s.rng.IntN(2)
	names := make([]signal.UserName, users)
	for i := range names {
		names[i] = signal.UserName(fmt.Sprintf("u%d-", i))
		c := s.newClient(names[i], s.generation())
		if s.chance(0.2) {
			c.next += int64(s.rng.IntN(400)) // has been connected before
		}
		s.after(s.upTo(20*time.Millisecond), c.connect)
	}
	end := 500 * time.Millisecond
	for range 1 + s.rng.IntN(4) {
		at := 200*time.Millisecond + s.upTo(3*time.Second)
		end = max(end, at+time.Second)
		c := s.clients[s.rng.IntN(users)]
		to := names[s.rng.IntN(users)]
		s.after(at, func() { s.burst(c, to) })
	}
	for range s.rng.IntN(3) {
		at := 200*time.Millisecond + s.upTo(3*time.Second)
		end = max(end, at+time.Second)
		s.disturb(at)
	}
	if s.sends {
		end = max(end, s.drawBackends(names))
	}
	if s.watches {
		end = max(end, s.drawWatches(names))
	}
	for i := 0; s.reuses && i < users; i++ {
		at := 200*time.Millisecond + s.upTo(3*time.Second)
		end = max(end, at+time.Second)
		s.after(at, func() { s.reuse(s.clients[i], names[s.rng.IntN(users)]) })
	}
	if s.recovers {
		at, c := 200*time.Millisecond+s.upTo(3*time.Second), s.clients[s.rng.IntN(users)]
		end = max(end, at+7*time.Second)
		s.after(at, func() { s.loseLink(c, 6*time.Second) })
		s.after(at-s.upTo(30*time.Millisecond), func() { s.burst(s.clients[s.rng.IntN(users)], c.user) })
	}
	if s.deletes {
		end = max(end, s.rounds(s.clients[s.rng.IntN(users)]))
	}
	if s.leaves {
		at, i := 200*time.Millisecond+s.upTo(3*time.Second), s.rng.IntN(users)
		end = max(end, at+time.Second)
		s.after(at, func() { s.leave(s.clients[i], names[(i+1)%users]) })
	}
	return end
}

// burst has a client send some messages at once, or nearly; now and then not all
// to the same receiver.
func (s *Sim) burst(c *client, to signal.UserName) {
	pace := s.upTo([]time.Duration{1, time.Millisecond, 30 * time.Millisecond}[s.rng.IntN(3)])
	mixed := s.chance(0.3)
	for i := range 1 + s.rng.IntN(8) {
		if mixed {
			to = s.clients[s.rng.IntN(len(s.clients))].user
		}
		s.after(time.Duration(i)*pace, func() { c.send(to) })
	}
}

// disturb has something happen to a connection at a time.
func (s *Sim) disturb(at time.Duration) {
	c := s.clients[s.rng.IntN(len(s.clients))]
	if s.repeats && s.chance(0.5) {
		s.disturbRepeating(at, c)
		return
	}
	what := 4
	if c.kind == generationSession {
		what = 6
	}
	switch s.rng.IntN(what) {
	case 0, 1: // the connection breaks; the client goes on sending, and reconnects
		s.after(at, func() {
			if c.socket == nil || !c.socket.open {
				return
			}
			s.count("broken connections")
			s.shut(c.socket, true)
			s.burst(c, c.user)
		})
	case 2: // the same user on another device
		s.after(at, func() {
			other := s.newClient(c.user, s.generation())
			other.connect()
			s.after(100*time.Millisecond+s.upTo(300*time.Millisecond), func() { s.burst(other, c.user) })
		})
	case 3: // gone for good
		s.after(at, func() {
			c.left = true
			for _, id := range sorted(s.sockets) { // a renewal may be under way
				if k := s.sockets[id]; k.client == c && k.open {
					s.shut(k, true)
				}
			}
		})
	case 4, 5: // a new connection takes the session over, amid what is sent
		s.after(at-s.upTo(30*time.Millisecond), func() { s.burst(c, c.user) })
		s.after(at, func() {
			if c.ready && c.socket.open && !c.left {
				s.count("renewals")
				c.renew()
			}
		})
	}
}

// disturbRepeating has something happen to a connection whose client says things
// twice: a takeover, or the end of the connections by which its session goes on.
func (s *Sim) disturbRepeating(at time.Duration, c *client) {
	if c.kind == generationSession {
		s.after(at, func() {
			if c.socket == nil || !c.socket.open {
				return
			}
			c.cuts = 1 + s.rng.IntN(3)
			s.shut(c.socket, true)
			s.burst(c, c.user)
		})
		return
	}
	s.after(at-s.upTo(50*time.Millisecond), func() { s.burst(c, c.user) })
	for range 1 + s.rng.IntN(3) {
		s.after(at-10*time.Millisecond+s.upTo(150*time.Millisecond), c.again)
	}
	s.after(at, func() { s.newClient(c.user, s.generation()).connect() })
}

// generation draws a kind of client.
func (s *Sim) generation() generation {
	if s.sessions {
		return generation(s.rng.IntN(int(generations)))
	}
	return generation(s.rng.IntN(int(generationSession)))
}

// drawFaults draws what goes wrong in this world: nothing but disorder, one
// kind of fault, or all kinds.
func (s *Sim) drawFaults() {
	s.faults = Faults{
		Invoke: 8 * time.Millisecond, Store: 4 * time.Millisecond, Post: 10 * time.Millisecond,
		Skew: s.upTo(50 * time.Millisecond), LateEffect: time.Second,
	}
	if s.chance(0.3) {
		s.faults.Invoke = 60 * time.Millisecond // a cold day
	}
	f := &s.faults
	rate := []float64{0.005, 0.02, 0.1}[s.rng.IntN(3)]
	kinds := []*float64{
		&f.Crash, &f.Repeat, &f.LoseFrame, &f.StoreFails, &f.StoreLost, &f.StoreLate, &f.Busy, &f.PostLost, &f.PostFails, &f.LoseLeave,
	}
	switch s.rng.IntN(4) {
	case 0:
		s.gentle = true
		s.prompt = true
	case 1, 2:
		*kinds[s.rng.IntN(len(kinds))] = rate
	case 3:
		for _, k := range kinds {
			*k = rate * s.rng.Float64()
		}
	}
	f.Crash /= 5 // at each of many steps
	if s.outages {
		s.drawOutage()
	}
	if s.units != nil {
		s.gentle, s.prompt = false, false
	}
	s.faulty = s.units != nil || f.Crash+f.StoreFails+f.StoreLate+f.StoreLost+f.Busy+f.PostLost+f.PostFails > 0
}

// drawOutage draws how far clocks are apart, and perhaps one outage of the store.
func (s *Sim) drawOutage() {
	s.faults.Skew = []time.Duration{50 * time.Millisecond, time.Second, lane.ClockBound / 2}[s.rng.IntN(3)]
	if s.mutation == WildClocks {
		s.faults.Skew = lane.ClockBound
	}
	if !s.chance(0.7) {
		return
	}
	s.gentle = false
	from := s.upTo(4 * time.Second)
	s.outage = window{from, from + 100*time.Millisecond + s.upTo(1900*time.Millisecond)}
}
