package lane

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unknownStart is the number of a client that does not say at which it begins.
const unknownStart int64 = -1

// openAt is the move of a client that authenticates with a number.
func openAt(l Lane, at int64, me string, now Instant) Move {
	start := StartAt(at)
	if at == unknownStart {
		start = Start{}
	}
	return l.Start(start.Lane(), me, now)
}

const (
	routeTries = 2 // package signal's
	moveTries  = 3
)

// hooks are the product's decisions, each of which a mutation may replace to
// show that the exploration would notice.
type hooks struct {
	take    func(n int64, f Frame, me string, now Instant) Move
	arrive  func(l Lane, n int64, f Frame, me string, now Instant) Decision
	watch   func(l Lane, n int64, me string, now Instant) Decision
	open    func(l Lane, at int64, me string, now Instant) Move
	finish  func(l Lane, faults []Undelivered, more bool, me string, now Instant) Move
	allows  func(l Lane, m Move) bool
	made    func(m Move, l Lane) bool
	begin   func(age int) bool // may a post begin so many ticks after the turn
	fence   bool               // a claim drops the record of the owner before
	lingers bool               // carry answers for what is left in the lane
}

func product() hooks {
	return hooks{
		take:    Take,
		arrive:  Lane.DecideArrival,
		watch:   Lane.DecideWatch,
		open:    openAt,
		finish:  Lane.Finish,
		allows:  Lane.Allows,
		made:    Move.Made,
		begin:   func(age int) bool { return Instant(age*tick).Sub(0) <= PostStartWithin },
		fence:   true,
		lingers: true,
	}
}

// label says what a step was, for traces.
type label struct {
	who  string
	what string
	kind Kind
	n    int64
}

func (l label) String() string {
	s := fmt.Sprintf("%-3s %s", l.who, l.what)
	if l.kind != "" {
		s += " " + string(l.kind)
	}
	if l.n != 0 {
		s += fmt.Sprint(" ", l.n)
	}
	return s
}

// next is a step and the world that it leads to.
type next struct {
	label
	w *world
}

// act is one step of one invocation, under way.
type act struct {
	*model
	w     *world // the world that becomes
	v     *inv   // its invocation
	tired bool   // the stint is over
	asked bool   // that made a difference
}

// steps are the steps that invocation i may do next, but for its crash.
func (x *model) steps(w *world, i int) []next {
	v := w.invs[i]
	s := &stepper{model: x, w: w, i: i, v: v}
	switch v.pc {
	case pcAway:
		s.begin()
	case pcMove:
		s.move()
	case pcPost:
		s.post()
	case pcTell:
		s.tell()
	case pcEnd:
	default:
		s.do(label{what: pcName[v.pc]}, 0, pcStep[v.pc])
	}
	return s.out
}

var (
	pcName [pcEnd]string
	pcStep [pcEnd]func(*act)
)

func init() {
	for _, p := range []struct {
		pc   pc
		name string
		step func(*act)
	}{
		{pcRoute, "routes", (*act).route},
		{pcDrop, "drops the record", (*act).drop},
		{pcRelease, "releases the name", (*act).release},
		{pcLook, "looks", (*act).look},
		{pcHandover, "looks after handover", (*act).handover},
		{pcInspect, "inspects", (*act).inspect},
		{pcClaim, "claims", (*act).claim},
		{pcFence, "fences", (*act).fenceOff},
		{pcOust, "supersedes", (*act).oust},
	} {
		pcName[p.pc], pcStep[p.pc] = p.name, p.step
	}
}

// stepper collects the steps of an invocation.
type stepper struct {
	*model
	w   *world
	v   *inv
	i   int
	out []next
}

// do adds a step that costs a fault, if that is still to be had.
func (s *stepper) do(l label, cost fault, f func(*act)) {
	if s.w.faults&cost != cost {
		return
	}
	l.who = s.v.me
	for _, tired := range []bool{false, true} {
		w, v := *s.w, *s.v
		a := act{model: s.model, w: &w, v: &v, tired: tired}
		w.faults &^= cost
		if tired {
			w.faults &^= stint
			l.what += ", stint over,"
		}
		f(&a)
		if tired && !a.asked {
			return
		}
		w.invs[s.i] = v.seal()
		s.out = append(s.out, next{l, &w})
		if !a.asked || s.w.faults&stint == 0 {
			return
		}
	}
}

// begin is the arrival of a frame. What it computes before its first effect is
// part of that; only where time may pass in between is it a step of its own.
func (s *stepper) begin() {
	cost := fault(0)
	if s.v.of != s.i {
		cost = repeat
		if s.w.invs[s.v.of].pc == pcAway || s.w.faults&repeat == 0 {
			return // of two equal invocations the first is called the original
		}
	}
	w, v := *s.w, *s.v
	w.faults &^= cost
	if v.auth {
		v.pc = pcInspect
	} else {
		m := s.hooks.take(v.n, frames[v.n], v.me, present)
		v.m, v.view, v.pc, v.why = &m, New(), pcMove, toBring
	}
	w.invs[s.i] = v.seal()
	s.out = append(s.out, s.steps(&w, s.i)...)
	if s.w.slow > 0 {
		s.out = append(s.out, next{label{who: v.me, what: "begins"}, &w})
	}
}

// move is work.move: one conditional write, tried again when its answer is
// lost. That the tries run out is left out.
func (s *stepper) move() {
	l := label{what: "makes", kind: s.v.m.Kind}
	s.do(l, 0, (*act).move)
	l.what = "makes, answer lost,"
	if s.w.conns[s.v.conn].there && s.allows(s.w.conns[s.v.conn].lane, *s.v.m) {
		s.do(l, lostMove, func(a *act) { a.apply(a.v.conn, a.v.m); a.reach() })
	}
	l.what = "tries again, first try late,"
	s.do(l, lateDup, func(a *act) { a.w.late = newLate(a.v.conn, a.v.m) })
}

// post is deliver from ready on. No tick is between ready's consent and the
// post's acceptance unless PostWithin allows it, so the two are one step: at
// one tick's age a post may be accepted that began earlier, and none begins.
func (s *stepper) post() {
	age := int(present-s.v.view.LeasedAt) / tick
	fresh := s.hooks.begin(age)
	l := label{n: s.v.run[s.v.i].N}
	if !fresh {
		l.what = "must renew for"
		s.do(l, 0, (*act).renew)
	}
	if !fresh && Instant(age*tick).Sub(0) > PostStartWithin+PostWithin {
		return
	}
	if s.w.gone[s.v.to] {
		l.what = "posts in vain"
		s.do(l, 0, (*act).gone)
		return
	}
	l.what = "posts"
	s.do(l, 0, func(a *act) { a.accept(); a.ended(OK) })
	l.what = "finds the receiver gone for"
	s.do(l, goneTo, func(a *act) { a.w.gone[a.v.to] = true; a.gone() })
	l.what = "posts, outcome unknown,"
	s.do(l, unknown, func(a *act) { a.accept(); a.dubious(); a.ended(CodeUnavailable) })
	l.what = "fails to post, outcome unknown,"
	s.do(l, unknown, func(a *act) { a.dubious(); a.ended(CodeUnavailable) })
}

// tell is one ack.
func (s *stepper) tell() {
	t := s.v.tells[0]
	l := label{what: fmt.Sprintf("tells %v of", t.code), n: t.n}
	if !t.reply && s.w.gone[s.v.conn] {
		l.what = "cannot tell of"
		s.do(l, 0, (*act).untold)
		return
	}
	s.do(l, 0, (*act).tell)
	if !t.reply {
		l.what = "finds the sender gone for"
		s.do(l, goneAck, func(a *act) { a.w.gone[a.v.conn] = true; a.untold() })
	}
}

// crash ends an invocation anywhere.
func (x *model) crash(w *world, i int) []next {
	v := w.invs[i]
	s := &stepper{model: x, w: w, i: i, v: v}
	if v.pc != pcEnd && (v.pc != pcAway || v.of == i) {
		s.do(label{what: "crashes"}, crash, (*act).crash)
	}
	return s.out
}

// crash leaves in the dark what the invocation had in hand.
func (a *act) crash() {
	if a.v.conn <= connB {
		t := &a.w.told[a.v.conn]
		if !a.v.auth {
			t.unknown |= bit(a.v.n)
		}
		hand := slices.Concat(a.v.run, a.v.next)
		if a.v.pc == pcMove {
			hand = append(hand, a.v.m.Run...)
		}
		for _, f := range hand {
			t.unknown |= bit(f.N)
		}
		for _, f := range a.v.tells {
			t.unknown |= bit(f.n)
		}
	}
	a.end()
}

// breaks notes a broken property.
func (a *act) breaks(format string, args ...any) {
	if bad := fmt.Sprintf(format, args...); strings.HasPrefix(bad, a.only) {
		a.w.bad = bad
	}
}

func (a *act) end() { *a.v = inv{plan: a.v.plan, pc: pcEnd} }

// conn is the record of the invocation's own connection.
func (a *act) conn() *connState { return a.w.conns[a.v.conn] }

// apply makes the move on a record.
func (a *act) apply(conn int, m *Move) {
	rec := a.w.conns[conn]
	if a.w.lost[conn] {
		a.breaks("fence: %s on connection %s after the claim that superseded it", m.Kind, connName[conn])
	}
	c := connState{there: true, user: rec.user, lane: rec.lane}
	c.lane.Held = maps.Clone(c.lane.Held)
	c.lane.Apply(*m)
	if m.Kind == KindOpen {
		for _, v := range a.w.invs[:a.w.n] {
			if v.auth && v.conn == conn {
				c.user = v.plan.user
			}
		}
	}
	a.w.conns[conn] = c.seal()
}

// reach notes that a frame was brought to the lane.
func (a *act) reach() {
	if a.v.why != toBring {
		return
	}
	t := &a.w.told[a.v.conn]
	t.reached |= bit(a.v.n)
	if _, held := a.conn().lane.Held[a.v.n]; held && !a.conn().lane.Opened() {
		t.early |= bit(a.v.n)
	}
}

// move is Store.Move and what work.move makes of its answer.
func (a *act) move() {
	v := a.v
	if !a.conn().there {
		a.moveFailed()
		return
	}
	made := a.allows(a.conn().lane, *v.m)
	if made {
		a.apply(v.conn, v.m)
	}
	a.reach()
	before, m := v.view, *v.m
	v.view, v.user, v.m = a.conn().lane, a.conn().user, nil
	made = made || a.made(m, v.view)
	switch v.why {
	case toBring:
		a.brought(m, made, before)
	case toWatch:
		a.watched(m, made, before)
	case toFinish:
		a.finished(m, made)
	case toRenew:
		a.renewed(made)
	case toOpen:
		a.openedLane(m, made)
	}
}

// moveFailed is what follows on ErrNoConnection.
func (a *act) moveFailed() {
	v := a.v
	switch v.why {
	case toBring: // send: nobody
		a.telling(thenEnd, told{n: v.n, no: true})
	case toWatch: // watch returns
		a.end()
	case toFinish: // turn returns the codes that it has
		a.turned(false, nil)
	case toRenew:
		a.renewed(false)
	case toOpen: // enter: supersede, fail
		v.m, v.then, v.pc = nil, thenRefuse, pcOust
		if len(v.ousted) == 0 {
			a.follow()
		}
	}
}

// telling goes on to the acks, and from there to what follows.
func (a *act) telling(follows then, tells ...told) {
	a.v.tells, a.v.then, a.v.pc, a.v.m = tells, follows, pcTell, nil
	if len(tells) == 0 {
		a.follow()
	}
}

func (a *act) follow() {
	a.v.tells = nil
	switch a.v.then {
	case thenEnd:
		a.end()
	case thenBring:
		a.arrive()
	case thenWatch:
		a.watch()
	case thenCarry:
		run := a.v.next
		a.v.next = nil
		a.carry(run)
	case thenRefuse:
		a.ends(a.v.conn, a.v.plan.user, pcEnd)
	}
}

// brought is work.bring after a move.
func (a *act) brought(m Move, made bool, before Lane) {
	switch {
	case made && m.Kind == KindTake:
		a.turn(m.Run)
	case made && m.Kind == KindHold:
		a.stored()
	case made && m.Kind == KindExpire:
		a.telling(thenBring, overtaken(before)...)
	default:
		a.arrive()
	}
}

// arrive is work.bring from Arrive on, and what send makes of its result.
func (a *act) arrive() {
	v := a.v
	step := a.hooks.arrive(v.view, v.n, frames[v.n], v.me, present)
	switch {
	case step.Move != nil:
		a.decide(*step.Move, toBring)
	case step.Action == Finished:
		a.telling(thenEnd, told{n: v.n, code: step.Code, reply: true})
	default:
		a.stored()
	}
}

// decide is on a move; what was seen is needed only to tell of an overtaking.
func (a *act) decide(m Move, why why) {
	a.v.m, a.v.why, a.v.pc = &m, why, pcMove
	if m.Kind != KindExpire && why != toFinish && why != toRenew {
		a.v.view = Lane{}
	}
}

// stored is work.stored.
func (a *act) stored() {
	v := a.v
	if v.view.Held[v.n].By != v.me {
		a.end()
		return
	}
	lowest, _ := v.view.Lowest()
	if lowest == v.n || a.hooks.watch(v.view, v.n, v.me, present).Move != nil {
		v.watching = v.n
		a.watch()
		return
	}
	a.end()
}

// watch is work.watch from Watch on.
func (a *act) watch() {
	step := a.hooks.watch(a.v.view, a.v.watching, a.v.me, present)
	switch {
	case step.Move != nil:
		a.decide(*step.Move, toWatch)
	case step.Wait == 0:
		a.end()
	default:
		a.v.pc, a.v.view = pcLook, Lane{}
	}
}

// watched is work.watch after a move.
func (a *act) watched(m Move, made bool, before Lane) {
	switch {
	case made && m.Kind == KindExpire:
		a.telling(thenWatch, overtaken(before)...)
	case made && m.Kind == KindAdopt:
		a.carry(m.Run)
	default:
		a.watch()
	}
}

// look is work.look in watch.
func (a *act) look() {
	if !a.conn().there {
		a.end()
		return
	}
	a.v.view, a.v.user = a.conn().lane, a.conn().user
	a.watch()
}

// handover is work.look in carry.
func (a *act) handover() {
	a.v.idle = false
	a.look()
}

// turn begins work.turn.
func (a *act) turn(run []Numbered) {
	v := a.v
	v.run, v.i, v.codes, v.faults, v.m = run, 0, make([]Code, len(run)), nil, nil
	a.deliver()
}

// deliver goes to the next frame of the run, and after the last to finish.
func (a *act) deliver() {
	v := a.v
	v.try, v.renews = 0, 0
	if v.i == len(v.run) {
		a.decide(a.hooks.finish(v.view, v.faults, !v.idle, v.me, present), toFinish)
		return
	}
	if v.lost {
		a.ended(CodeServer)
		return
	}
	a.reroute()
}

// reroute goes to Store.Route; where the receiver stays who it is, that is
// known.
func (a *act) reroute() {
	a.v.to, a.v.pc = connX, pcPost
	if a.moving() {
		a.v.to, a.v.pc = noConn, pcRoute
	}
}

// ended is how the frame's delivery ended.
func (a *act) ended(code Code) {
	v, n := a.v, a.v.run[a.v.i].N
	v.codes = slices.Clone(v.codes)
	v.codes[v.i] = code
	if code != OK {
		v.faults = append(slices.Clone(v.faults), Undelivered{n, n, code})
	}
	v.i++
	a.deliver()
}

// route is Store.Route in deliver.
func (a *act) route() {
	owner := a.w.users[bob].owner
	if owner == noConn {
		a.ended(CodeUnreachable)
		return
	}
	a.v.to, a.v.pc = owner, pcPost
}

// accept is the post's acceptance. What was posted is known by its content.
func (a *act) accept() {
	n := int64(a.v.run[a.v.i].Data[0])
	t := &a.w.told[a.v.conn]
	switch {
	case t.accepted&bit(n) != 0:
		a.breaks("once: %d is posted twice", n)
	case t.accepted>>n != 0:
		a.breaks("order: %d is posted after %v", n, list(t.accepted))
	}
	t.accepted |= bit(n)
}

func (a *act) dubious() { a.w.told[a.v.conn].unknown |= bit(a.v.run[a.v.i].N) }

// gone is deliver's ErrGone: vanish, and once more.
func (a *act) gone() {
	a.v.try++
	a.ends(a.v.to, userName[bob], pcRoute)
}

// ends is Service.end: by vanish, or by refuse.
func (a *act) ends(conn int, user string, back pc) {
	a.v.target, a.v.whose, a.v.back, a.v.pc = conn, user, back, pcDrop
}

// drop is end's Store.Drop.
func (a *act) drop() {
	rec := a.w.conns[a.v.target]
	a.dropRecord(a.v.target)
	if a.v.whose == "" {
		a.v.whose = rec.user
	}
	if a.v.pc = pcRelease; a.v.whose == "" {
		a.gotRid()
	}
}

func (a *act) dropRecord(conn int) { a.w.conns[conn] = (&connState{}).seal() }

// release is end's Store.Release.
func (a *act) release() {
	if u := &a.w.users[userOf(a.v.whose)]; u.owner == a.v.target {
		u.owner = noConn
	}
	a.gotRid()
}

// gotRid goes on after end.
func (a *act) gotRid() {
	v := a.v
	back := v.back
	v.target, v.whose, v.back = 0, "", 0
	switch {
	case back == pcEnd:
		a.w.gone[v.conn] = true
		a.end()
	case back == pcTell:
		a.follow()
	case v.try == routeTries:
		a.ended(CodeUnreachable)
	default:
		a.reroute()
	}
}

// renew is ready's renewal.
func (a *act) renew() {
	a.v.renews++
	a.decide(a.v.view.Renew(a.v.me, present), toRenew)
}

// renewed is ready after it: another look, or no more posts.
func (a *act) renewed(made bool) {
	a.v.m = nil
	if made && a.v.renews < moveTries {
		a.v.pc = pcPost
		return
	}
	a.v.lost = true
	a.ended(CodeServer)
}

// finished is work.turn after a move to finish.
func (a *act) finished(m Move, made bool) {
	v := a.v
	switch {
	case made:
		a.turned(true, m.Run)
	case v.view.Holder != v.me || !m.Guard.Taken.Allows(v.view.Taken):
		v.codes = slices.Clone(v.codes)
		for i, f := range v.run {
			if f.N <= v.view.Done {
				v.codes[i] = v.view.Outcome(f.N)
			}
		}
		a.turned(false, nil)
	default:
		a.decide(a.hooks.finish(v.view, v.faults, !v.idle, v.me, present), toFinish)
	}
}

// turned is what sendRun and carry do with the result of turn.
func (a *act) turned(ok bool, next []Numbered) {
	v := a.v
	var tells []told
	for i, f := range v.run {
		reply := !v.auth && f.N == v.n && v.watching == 0 // sendRun, not carry
		tells = append(tells, told{n: f.N, code: v.codes[i], reply: reply})
	}
	v.run, v.codes, v.faults, v.i, v.next = nil, nil, nil, 0, next
	if ok {
		a.telling(thenCarry, tells...)
	} else {
		a.telling(thenEnd, tells...)
	}
}

// carry is work.carry with a run, or at the end of one.
func (a *act) carry(run []Numbered) {
	v := a.v
	if !v.idle && (len(run) > 0 || len(v.view.Held) > 0) {
		a.asked = true
		v.idle = a.tired
	}
	if len(run) > 0 {
		v.watching = -1
		a.turn(run)
		return
	}
	n, held := v.view.Lowest()
	v.watching = n
	switch {
	case !held || !a.lingers:
		a.end()
	case v.idle:
		v.pc, v.view = pcHandover, Lane{}
	default:
		a.watch()
	}
}

// overtaken is work.tellOvertaken.
func overtaken(before Lane) []told {
	var tells []told
	for n := before.Done + 1; n <= before.Taken; n++ {
		tells = append(tells, told{n: n, code: CodeServer})
	}
	return tells
}

// tell is one ack that reaches the sender.
func (a *act) tell() {
	t, s := a.v.tells[0], &a.w.told[a.v.conn]
	switch {
	case t.no:
		s.nobody |= bit(t.n)
	case t.code == OK:
		s.ok |= bit(t.n)
		if s.accepted&bit(t.n) == 0 {
			a.breaks("truth: %d is acked, no socket has it", t.n)
		}
	default:
		s.fail |= bit(t.n)
		if a.faultless(a.w) && !a.straggler(t.n) {
			a.breaks("truth: %d failed with %d, though nothing was at fault", t.n, t.code)
		}
	}
	if s.ok&s.fail != 0 {
		a.breaks("truth: %v acked as delivered and as failed", list(s.ok&s.fail))
	}
	a.told()
}

// straggler reports whether n lies below the opening number and came after it.
func (a *act) straggler(n int64) bool {
	return n < a.senders[a.v.conn].at && a.w.told[a.v.conn].early&bit(n) == 0
}

func (a *act) told() {
	if a.v.tells = a.v.tells[1:]; len(a.v.tells) == 0 {
		a.follow()
	}
}

// untold is an ack whose post finds the sender gone: tell makes it vanish and
// tells no more; nobody and tellOvertaken do not care.
func (a *act) untold() {
	v := a.v
	if v.tells[0].no || v.then == thenBring || v.then == thenWatch {
		a.told()
		return
	}
	v.tells = nil
	a.ends(v.conn, v.user, pcTell)
}

// inspect is authenticate's.
func (a *act) inspect() {
	v := a.v
	rec := a.conn()
	if !rec.there || rec.lane.Opened() { // nobody, or authenticateAgain
		a.end()
		return
	}
	v.view, v.at, v.expect, v.pc = rec.lane, v.conn, noConn, pcClaim // of connections, the later has the higher index
}

// claim is Store.Claim, by its contract in ports.go.
func (a *act) claim() {
	v := a.v
	u := &a.w.users[userOf(v.plan.user)]
	switch {
	case u.owner == v.conn:
	case u.owner != noConn && u.at > v.at: // ErrNewerClaim
		v.ousted, v.then, v.pc = append(slices.Clone(v.ousted), v.conn), thenEnd, pcOust
		return
	case u.owner != noConn && u.owner != v.expect:
		v.target, v.pc = u.owner, pcFence
		return
	default:
		u.owner, u.at = v.conn, v.at
		for _, c := range v.ousted {
			a.w.lost[c] = true
		}
	}
	m := a.hooks.open(v.view, v.n, v.me, present)
	v.m, v.why, v.pc = &m, toOpen, pcMove
}

// fenceOff is claim's Store.Drop of the owner before.
func (a *act) fenceOff() {
	v := a.v
	if a.hooks.fence {
		a.dropRecord(v.target)
	}
	v.ousted, v.expect, v.target, v.pc = append(slices.Clone(v.ousted), v.target), v.target, 0, pcClaim
}

// openedLane is work.open and enter after a move to open.
func (a *act) openedLane(m Move, made bool) {
	v := a.v
	switch {
	case made:
		v.next, v.then, v.pc = m.Run, thenCarry, pcOust
	case v.view.Opened(): // errOpened: authenticateAgain
		v.then, v.pc = thenEnd, pcOust
	default:
		again := a.hooks.open(v.view, v.n, v.me, present)
		v.m, v.why, v.pc = &again, toOpen, pcMove
		return
	}
	if len(v.ousted) == 0 {
		a.follow()
	}
}

// oust is supersede of one connection: its record's end, if that is still to
// come, and its socket's.
func (a *act) oust() {
	c := a.v.ousted[0]
	a.dropRecord(c)
	a.w.gone[c] = true
	if a.v.ousted = a.v.ousted[1:]; len(a.v.ousted) == 0 {
		a.follow()
	}
}
