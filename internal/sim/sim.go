package sim

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// functionTime is an invocation's deadline, as template.yaml has it.
const functionTime = 60 * time.Second

// Sim is one world with the service in it.
type Sim struct {
	*World
	faults   Faults
	service  *signal.Service
	records  *memory.Store // the records themselves, without the network
	mutation Mutation
	sockets  map[signal.ConnectionID]*socket
	clients  []*client
	messages []*message
	tokens   *tokens
	checker
	units    *units        // nil: not reckoned
	busy     time.Duration // of all invocations together
	counts   map[string]int
	bodies   bodies
	sessions bool       // there are clients with sessions
	outages  bool       // the store may be out, and clocks are apart
	repeats  bool       // clients say things twice
	lobbies  bool       // clients may begin by long polling
	leaves   bool       // a client sends and leaves at once
	watches  bool       // clients watch each other
	backends []*socket  // which are none, but their lanes
	requests []*request // of backends
	sends    bool       // backends do
	reuses   bool       // clients give a number to another message, too
	recovers bool       // clients may recover
	deletes  bool       // keepalive deletes history
	batches  bool       // JSON clients send and take several messages in a frame
}

// FirstWithSessions is the first seed of a world in which clients may have
// sessions. Those below are as they were, lest kept seeds lose their meaning.
const FirstWithSessions = 1 << 20

// FirstWithOutages is the first seed of a world in which the store may be out
// for a while, clocks may be apart by up to lane.ClockBound, and connections
// are dated by API Gateway.
const FirstWithOutages = 1 << 40

// FirstWithRepeats is the first seed of a world in which, if it is odd, clients
// send numbers again at takeovers, send in their sessions before they are
// welcome, and send messages without a number.
const FirstWithRepeats = 1 << 41

// FirstWithBodies is the first seed of a world whose store keeps what held frames
// say apart from its records, and, in one of four, serves of a record only so much
// in a second.
const FirstWithBodies = 1 << 42

// FirstWithBatches is the first seed of a world in which JSON clients may send
// several messages in a frame, and take several.
const FirstWithBatches = 1 << 43

// Report is what came of a world.
type Report struct {
	Seed       uint64
	Steps      int
	Messages   int
	Delivered  int
	Virtual    time.Duration
	Counts     map[string]int // faults that were injected, and other things of note
	Violations []string
}

// Run lets the world of a seed happen and judges it. trace, if not nil, is told
// every step.
func Run(seed uint64, mutation Mutation, trace func(string)) Report {
	s := newSim(seed, mutation, trace)
	end := s.scenario()
	s.run(end)
	s.calmDown()
	s.run(end + quiet)
	if s.watches {
		s.keepalive()
		end += quiet
		s.run(end + quiet)
	}
	s.nudge()
	s.run(end + 2*quiet)
	s.judge()
	s.endProcesses()
	return s.report(seed)
}

// quiet is how long a world has to come to rest: a lease whose holder died just
// before expires, a gap is skipped, and both are acknowledged.
const quiet = 20 * time.Second

func newSim(seed uint64, mutation Mutation, trace func(string)) *Sim {
	s := &Sim{
		World: newWorld(seed), records: memory.New(), mutation: mutation,
		sockets: make(map[signal.ConnectionID]*socket), counts: make(map[string]int), checker: newChecker(),
	}
	s.trace, s.sessions, s.outages = trace, seed >= FirstWithSessions, seed >= FirstWithOutages
	s.repeats = seed >= FirstWithRepeats && seed%2 == 1
	s.batches = seed >= FirstWithBatches
	if seed >= FirstWithBodies {
		s.bodies = make(bodies)
		if seed%4 == 2 {
			s.units = newUnits(0, 5+int(seed>>2%36))
		}
	}
	s.leaves = seed >= FirstWithLeaving && seed%4 == 3
	s.reuses = seed >= FirstWithReuse && seed%2 == 0
	s.lobbies = seed >= FirstWithLobbies && seed&2 != 0
	s.recovers = seed >= FirstWithRecovery && seed%3 != 2
	s.watches = seed >= FirstWithWatches && seed%4 == 1
	s.sends = seed >= FirstWithBackends && seed%3 == 0
	s.tokens = newTokens(s, seed)
	s.service = &signal.Service{
		Store: s.mutation.store(store{s, s.records}), Pusher: s.mutation.pusher(s), Access: signal.Access{Authenticator: s.tokens},
		Clock: s.World, Beside: s.beside, Random: s.random, Log: slog.New(slog.DiscardHandler),
	}
	if s.sends {
		s.service.Backends = backendStore{s, s.records}
	}
	if s.recovers {
		s.service.RecoverFor = signal.DefaultRecoverFor
	}
	if s.deletes = s.recovers && seed%4 == 0; s.deletes {
		s.service.RecoverFor = briefly
	}
	if s.watches {
		s.service.Prober = s
	}
	return s
}

func (s *Sim) random(b []byte) {
	for i := range b {
		b[i] = byte(s.rng.Uint32())
	}
}

func (s *Sim) count(what string) { s.counts[what]++ }

func (s *Sim) report(seed uint64) Report {
	r := Report{Seed: seed, Steps: s.steps, Messages: len(s.messages), Virtual: s.now, Counts: s.counts, Violations: s.violations}
	for _, m := range s.messages {
		r.Delivered += len(m.accepted)
	}
	return r
}

// invoke starts an invocation of a function: perhaps late, perhaps twice.
func (s *Sim) invoke(name string, times int, body func()) {
	for range times {
		s.serial++
		p := &process{name: name + "#" + strconv.Itoa(s.serial), frail: true}
		if s.faults.Skew > 0 {
			p.skew = s.upTo(2*s.faults.Skew) - s.faults.Skew
		}
		s.processes = append(s.processes, p)
		s.spawn(s.latency(s.faults.Invoke), functionTime, p, s.timed(body))
	}
}

// endProcesses ends what still runs, so that nothing of a world remains.
func (s *Sim) endProcesses() {
	for _, p := range s.processes {
		p.end(nil)
	}
}

// message invokes the message function with an input of a client.
func (s *Sim) message(k *socket, name string, in signal.Input) {
	if k.dead || s.chance(s.faults.LoseFrame) {
		s.count("lost frames")
		s.tracef("%s is lost", name)
		s.lost(in, k)
		return
	}
	times := 1
	if s.chance(s.faults.Repeat) {
		s.count("repeated invocations")
		times = 2
	}
	s.count("frames")
	p := signal.Peer{ID: k.id, Protocol: k.protocol, Batches: k.client.batches}
	s.invoke(name, times, func() {
		s.arrived(in, k)
		if _, ok := in.(signal.Leave); ok {
			k.ends(s.now)
		}
		reply := s.service.Receive(context.Background(), p, s.mutation.input(in))
		s.step()
		if reply.Posted != nil {
			s.tookOver(k, reply.Posted)
		}
		for _, e := range reply.Events {
			s.answer(k, e)
		}
		if reply.After != nil {
			s.step()
			reply.After(context.Background())
		}
	})
}

// answer returns a response on its way to the client.
func (s *Sim) answer(k *socket, e signal.Event) {
	s.after(s.latency(s.faults.Post)/2, func() {
		if k.open {
			s.accept(k, e)
		}
	})
}

// connect invokes $connect for a new socket, which opens once that has
// answered.
func (s *Sim) connect(k *socket, token *string) {
	s.sockets[k.id] = k
	h := k.client.handshake(token)
	if k.lobby != nil {
		h.Lobby = &signal.LobbyHandshake{ID: k.lobby.id, Handshakes: []string{handshakeOfAll}}
	}
	if s.outages {
		h.At = epoch.Add(s.now)
	}
	s.invoke("connect "+string(k.id), 1, func() {
		after, err := s.service.Connect(context.Background(), h)
		s.step()
		s.after(s.latency(s.faults.Post)/2, func() {
			if k.abandoned {
				return
			}
			if err != nil {
				k.client.disconnected(k)
				return
			}
			k.open, k.opened = true, true
			if k.lobby != nil {
				s.message(k, "probe of "+string(k.id), signal.Probe{})
			}
		})
		if after != nil {
			s.step()
			after(context.Background())
		}
	})
	if k.lobby == nil {
		s.timeOut(k)
	}
}

// timeOut has a client give up when the first packet does not come.
func (s *Sim) timeOut(k *socket) {
	s.after(connectTimeout, func() {
		if !k.greeted && !k.abandoned {
			s.shut(k, true)
		}
	})
}

// connectTimeout is how long a client waits to be greeted.
const connectTimeout = 5 * time.Second

// shut closes a socket. Its client finds out, and so, perhaps, does the
// service.
func (s *Sim) shut(k *socket, byClient bool) {
	wasOpen := k.open
	k.open, k.abandoned = false, true
	k.shutAt = s.now
	if wasOpen && !s.chance(s.faults.LoseLeave) {
		s.invoke("disconnect "+string(k.id), 1, func() { s.disconnect(k) })
	} else if wasOpen {
		s.count("lost $disconnects")
	}
	if byClient {
		k.client.disconnected(k)
		return
	}
	s.after(s.latency(s.faults.Post)/2, func() { k.client.disconnected(k) })
}

// calmDown ends all faults.
func (s *Sim) calmDown() {
	s.faults = Faults{Invoke: s.faults.Invoke, Store: s.faults.Store, Post: s.faults.Post, Skew: s.faults.Skew}
	for _, p := range s.processes {
		p.frail = false
	}
	s.tokens.end = false
	if s.units != nil {
		s.units.limit = 0
	}
	s.calm = true
}

// nudge has every client that is connected send one more message to everybody.
func (s *Sim) nudge() {
	s.nudged = s.now
	for _, k := range s.backends {
		for _, c := range s.clients {
			s.dispatch(k, c.user, func() {})
		}
	}
	for _, c := range s.clients {
		if !c.ready {
			continue
		}
		for _, other := range s.clients {
			c.send(other.user)
		}
	}
}

func show(e signal.Event) string { return fmt.Sprintf("%T%+v", e, e) }

func sorted[V any](m map[signal.ConnectionID]V) []signal.ConnectionID {
	return slices.Sorted(maps.Keys(m))
}
