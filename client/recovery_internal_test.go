package client

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// fate is what the server knows of a number.
type fate int

const (
	kept   fate = iota // it was posted, and is sent again
	void               // it was never posted
	past               // it was posted, and is not kept any more
	maxOne = 7         // numbers that a question is answered for
)

// relay is a server that keeps what it posts, and an inbox behind a network that loses
// it.
type relay struct {
	t      *testing.T
	random *rand.Rand
	now    time.Time
	inbox  inbox

	fates     []fate // by number, from 1
	connected bool
	failed    int // questions in a row that were not answered to the end
	mail      []mail
	last      int64 // what was handed out, void, or given up
	asked     int
}

// mail is what is on its way to the client.
type mail struct {
	at    time.Time
	frame frame
}

// Whatever is lost on the way, and however the server dies over its answers: what it
// keeps is handed out, in order, and what is given up it does not have.
func TestInboxRecovers(t *testing.T) {
	for seed := range uint64(worlds) {
		r := &relay{t: t, random: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(0, 0)}
		r.inbox = inbox{wait: 3 * time.Second, recovery: recovery{timeout: 2 * time.Second}}
		r.connect()
		for range 1 + r.random.IntN(40) {
			r.step()
		}
		r.connect()
		r.post(0)
		r.pass(10 * time.Minute)
		switch b := r.inbox; {
		case r.last != int64(len(r.fates)):
			t.Errorf("%d of %d was settled", r.last, len(r.fates))
		case len(b.held)+len(b.spans) > 0 || b.question.open() || !b.deadline().IsZero():
			t.Errorf("something is left: %+v", b)
		}
		if t.Failed() {
			t.Fatalf("in world %d", seed)
		}
	}
}

func (r *relay) step() {
	switch r.random.IntN(12) {
	case 0:
		r.connect()
	case 1:
		if r.connected {
			r.connected, r.mail = false, nil
			r.inbox.lost()
		}
	case 2:
		r.pass(time.Duration(r.random.IntN(5000)) * time.Millisecond)
	case 3: // what is old is not kept any more
		for i := range r.fates[:r.random.IntN(len(r.fates)+1)] {
			if r.fates[i] == kept {
				r.fates[i] = past
			}
		}
	case 4:
		r.fates = append(r.fates, void)
		if r.random.IntN(2) == 0 {
			r.send(r.about(int64(len(r.fates))))
		}
	default:
		r.post(r.random.IntN(3))
		r.pass(time.Duration(r.random.IntN(100)) * time.Millisecond)
	}
}

// post posts a message, which arrives but for one in so many.
func (r *relay) post(lost int) {
	r.fates = append(r.fates, kept)
	if r.connected && (lost == 0 || r.random.IntN(lost+1) > 0) {
		r.send(frame{Type: typeMessage, Epoch: "e", Seq: int64(len(r.fates))})
	}
}

// send lets the client hear, after a while.
func (r *relay) send(f frame) {
	if r.connected {
		r.mail = append(r.mail, mail{r.now.Add(time.Duration(r.random.IntN(500)) * time.Millisecond), f})
	}
}

// about is what the server says of a number, when it is asked.
func (r *relay) about(seq int64) frame {
	types := map[fate]string{kept: typeMessage, void: typeVoid, past: typeLost}
	return frame{Type: types[r.fates[seq-1]], Epoch: "e", Seq: seq, Last: seq}
}

func (r *relay) connect() {
	r.connected, r.mail = true, nil
	since := r.inbox.next - 1
	s := standing{epoch: "e", seq: int64(len(r.fates)), keeps: time.Hour}
	if r.inbox.epoch != "" {
		for s.from = since + 1; s.from <= s.seq && r.fates[s.from-1] == past; s.from++ {
		}
	} else {
		r.last = s.seq
	}
	r.check(r.inbox.welcome(s, true, r.now))
	if s.from > 0 && s.from <= s.seq {
		r.answer(s.from-1, s.seq)
	}
}

// answer answers a question, or dies over it, but not three times in a row.
func (r *relay) answer(since, last int64) {
	last = min(last, since+maxOne)
	dies := r.random.IntN(3) == 0 && r.failed < maxAsked-1
	if r.failed++; !dies {
		r.failed = 0
	}
	at := r.now
	for seq := since + 1; seq <= last; seq++ {
		if dies && r.random.IntN(3) == 0 {
			return
		}
		at = at.Add(time.Duration(r.random.IntN(100)) * time.Millisecond)
		r.mail = append(r.mail, mail{at, r.about(seq)})
	}
	if !dies {
		r.mail = append(r.mail, mail{at, frame{Type: typeReplayed, Epoch: "e", Seq: last}})
	}
}

// pass lets time go by, with what comes and what is due.
func (r *relay) pass(d time.Duration) {
	for until := r.now.Add(d); ; {
		next, first := until, -1
		if t := r.inbox.deadline(); !t.IsZero() && t.Before(next) {
			next = t
		}
		for i, m := range r.mail {
			if !m.at.After(next) && (first < 0 || m.at.Before(r.mail[first].at)) {
				next, first = m.at, i
			}
		}
		r.now = next
		switch {
		case first >= 0:
			f := r.mail[first].frame
			r.mail = append(r.mail[:first], r.mail[first+1:]...)
			r.check(r.inbox.take(f, r.now))
		case next.Equal(until):
			return
		default:
			r.check(r.inbox.expire(r.now))
		}
		if q, ok := r.inbox.ask(r.now); ok {
			if r.asked++; r.asked > 10*(len(r.fates)+10) {
				r.t.Fatal("it asks and asks")
			}
			r.answer(q.since, q.last)
		}
	}
}

// check sees to it that each number is handed out, or void, or lost.
func (r *relay) check(a arrivals) {
	said := make(map[int64]string)
	for i, m := range a.messages {
		if i > 0 && m.Seq <= a.messages[i-1].Seq {
			r.t.Errorf("%d after %d", m.Seq, a.messages[i-1].Seq)
		}
		said[m.Seq] += "handed out"
	}
	for _, g := range a.gaps {
		for seq := g.First; seq <= g.Last; seq++ {
			said[seq] += "lost"
		}
	}
	for ; r.last+1 < r.inbox.next; r.last++ {
		seq := r.last + 1
		if want := []string{kept: "handed out", void: "", past: "lost"}[r.fates[seq-1]]; said[seq] != want && (want != "lost" || said[seq] != "handed out") {
			r.t.Errorf("%d was %q, and is %q", seq, said[seq], want)
		}
		delete(said, seq)
	}
	if len(said) > 0 {
		r.t.Errorf("said of what is past, or to come: %v", fmt.Sprint(said))
	}
}

// However much comes before what is missing, so much of it is held; the rest is asked for.
func TestInboxMakesRoom(t *testing.T) {
	now := time.Unix(0, 0)
	for _, missing := range []bool{true, false} { // in the replay, or later
		b := inbox{wait: 3 * time.Second, recovery: recovery{timeout: 2 * time.Second}}
		b.welcome(standing{epoch: "e", keeps: time.Hour}, true, now)
		if missing {
			b.lost()
			b.welcome(standing{epoch: "e", seq: 5, from: 1, keeps: time.Hour}, true, now)
		}
		dropped := 0
		for seq := range int64(maxHeld + 2) {
			dropped += b.receive(Message{Epoch: "e", Seq: 2 + seq}, now).dropped
		}
		if dropped != 2 || len(b.held) != maxHeld {
			t.Errorf("%d were dropped, %d are held", dropped, len(b.held))
		}
		if _, ok := b.ask(now.Add(2 * time.Second)); !ok || b.question.last != maxHeld+3 {
			t.Errorf("it asks for what is missing up to %d", b.question.last)
		}
		if a := b.receive(Message{Epoch: "e", Seq: 1}, now); len(a.messages) != maxHeld+1 || len(a.gaps) > 0 {
			t.Errorf("%d messages and %d gaps came of the first", len(a.messages), len(a.gaps))
		}
		if !b.question.open() {
			t.Error("nothing is asked for any more")
		}
	}
}
