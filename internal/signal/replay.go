package signal

import (
	"context"
	"errors"
	"time"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// How much is replayed at a time; its client asks for more.
const (
	// maxReplay is how many numbers.
	maxReplay = 1024
	// replayWithin is how long a replay begins something new.
	replayWithin = 10 * time.Second
	// readAtOnce is how many numbers are read at once.
	readAtOnce = 64
	// voidsAtOnce is how many numbers are made void at a time.
	voidsAtOnce = 8
	// onItsWay is for how long a number is waited for: by then it was posted and is
	// kept, or its sender has probably failed.
	onItsWay = lane.LeaseTimeout
)

// errReplayEnds: the connection does not own the name any more, or its socket is
// gone.
var errReplayEnds = errors.New("nobody to replay to")

// Recovery is what a client that recovers is told when it is welcome. The zero value
// is that of others.
type Recovery struct {
	For   time.Duration // for how long what is posted to it is kept
	Asked bool          // it has said what it has; otherwise the rest is zero
	Whole bool          // all that was posted since is kept
	From  int64         // the first number that is sent again, if it is not above Seq
}

// Since is what a client has of what was posted to it: all up to a number of an
// epoch.
type Since struct {
	Epoch string
	Seq   int64
}

// recovery returns what a client is told, which has claimed a name.
func (s *Service) recovery(p Peer, since *Since, at Claimed) (r Recovery) {
	if !p.Recovers {
		return r
	}
	r.For, r.Asked, r.From = s.RecoverFor, since != nil, at.Seq+1
	if since == nil || since.Epoch != at.Epoch || since.Seq > at.Seq {
		return r
	}
	r.Whole, r.From = since.Seq >= at.KeptAfter, max(since.Seq, at.KeptAfter)+1
	return r
}

// recover sends again what a client asks for, and has not got.
func (s *Service) recover(ctx context.Context, p Peer, in Recover) Reply {
	c, refused, ok := s.asker(ctx, p, "")
	switch {
	case !ok:
		return refused
	case !c.Recovers || s.RecoverFor == 0:
		return reply(RequestFailed{Code: lane.CodeUnsupported}).refused()
	}
	r, err := s.replay(ctx, c, in)
	if err == nil {
		err = r.spend(ctx)
	}
	switch {
	case errors.Is(err, errRevoked):
		return s.endRevoked(ctx, r.conn, closing)
	case errors.Is(err, errReplayEnds): // whoever has ended it tells it
		return Reply{}
	case err != nil:
		failed := reply(RequestFailed{Code: codeOf(err)})
		failed.User = errors.Is(err, ErrBusy)
		failed.Refused = failed.User
		return failed
	}
	return Reply{After: r.after(r.run)}
}

// replay is what is sent again on a connection, in the order of the numbers.
type replay struct {
	*invocation
	epoch    string
	next, to int64 // the next number, and the last
	began    lane.Instant
	found    []Event // to be sent
}

// replay returns the replay that answers a question. All its numbers were reserved
// before.
func (s *Service) replay(ctx context.Context, c Connection, in Recover) (*replay, error) {
	r := &replay{invocation: s.invocation(c), epoch: in.Since.Epoch, next: in.Since.Seq + 1}
	at, err := r.standing(ctx)
	if r.to = at.Seq; in.To > 0 {
		r.to = min(in.To, at.Seq)
	}
	r.began = s.Clock.Now()
	return r, err
}

// replayBeside begins the replay that was announced to a client that was just
// welcomed, and returns what waits for its end.
func (v *invocation) replayBeside(ctx context.Context, as Recovery, at Claimed) (wait func()) {
	if !as.Asked || as.From > at.Seq {
		return func() {}
	}
	r := &replay{invocation: v.Service.invocation(v.conn), epoch: at.Epoch, next: as.From, to: at.Seq, began: v.Clock.Now()}
	return v.beside(func() { r.after(r.run)(ctx) })
}

// standing reads where the numbers stand, if the connection still owns the name.
func (r *replay) standing(ctx context.Context) (at Claimed, err error) {
	err = r.untilKnown(ctx, func(now lane.Instant) error {
		at, err = r.Store.Standing(ctx, r.conn.User, now)
		return err
	})
	if errors.Is(err, ErrOffline) || err == nil && (at.Owner.ID != r.conn.ID || at.Epoch != r.epoch) {
		err = errReplayEnds
	}
	return at, err
}

// last is the last number that is replayed now.
func (r *replay) last() int64 { return min(r.to, r.next+maxReplay-1) }

// spend takes from the user's bucket what a replay costs: as a message for each frame
// that is full.
func (r *replay) spend(ctx context.Context) error {
	frames := 1 + int(max(0, r.last()-r.next))/MaxBatch
	for range decideTries {
		l, now := r.conn.Lane, r.Clock.Now()
		switch {
		case !r.Rate.Limited():
			return nil
		case !r.Rate.Allows(l.TAT, frames-1, now):
			return ErrBusy
		}
		if made, err := r.update(ctx, updateBy(l.Spending(l.TakeUnnumbered("", r.id, lane.Rate{}, now), r.Rate, frames, now)), now); err != nil || made {
			return err
		}
	}
	return ErrContended
}

// run replays. If it cannot go on, it says how far it got.
func (r *replay) run(ctx context.Context) {
	for last := r.last(); r.next <= last && r.Clock.Now().Sub(r.began) < replayWithin; {
		if err := r.step(ctx, min(last, r.next+readAtOnce-1)); err != nil {
			r.Log.InfoContext(ctx, "replay ends", "connection", r.conn.ID, "user", r.conn.User, "error", err)
			if errors.Is(err, errReplayEnds) {
				return
			}
			break
		}
	}
	r.found = append(r.found, Replayed{r.epoch, r.next - 1})
	_ = r.send(ctx)
}

// step sends what there is up to a number, and sees to what is missing.
func (r *replay) step(ctx context.Context, to int64) error {
	missing, err := r.read(ctx, to)
	if err != nil || len(missing) == 0 && len(r.found) < MaxBatch { // the rest may go with it
		return err
	}
	if len(missing) == 0 {
		return r.send(ctx)
	}
	left := onItsWay - r.Clock.Now().Sub(r.began)
	if left <= 0 {
		return r.void(ctx, missing)
	}
	if err := r.send(ctx); err != nil {
		return err
	}
	if !r.mayLinger(ctx) {
		return ErrBusy
	}
	return r.Clock.Sleep(ctx, min(left, watchMost))
}

// read finds what is to be sent of the next numbers, until one is missing, and returns
// those that are. That a number is void counts only once the record has been read:
// there was something under it if history was deleted so far.
func (r *replay) read(ctx context.Context, to int64) (missing []int64, err error) {
	var history []Kept
	err = r.untilKnown(ctx, func(lane.Instant) error { // a post may have begun before
		history, err = r.Store.History(ctx, r.conn.User, r.epoch, r.next-MaxBatch+1, to)
		return err
	})
	if err != nil {
		return nil, err
	}
	at, err := r.standing(ctx)
	if err != nil {
		return nil, err
	}
	known := make(map[int64]Event)
	for _, k := range history {
		if _, posted := known[k.Seq]; k.Post == nil && !posted { // a post with the number in it may have been faster
			known[k.Seq] = Void{r.epoch, k.Seq, k.Seq}
		}
		for _, d := range k.Post {
			known[d.Seq] = d
		}
	}
	for n := r.next; n <= to; n++ {
		e, ok := known[n]
		if _, message := e.(Delivery); !message && n <= at.KeptAfter {
			e, ok = Lost{r.epoch, n, n}, true
		}
		switch {
		case !ok:
			missing = append(missing, n)
		case len(missing) == 0:
			r.add(e)
			r.next = n + 1
		}
	}
	return missing, nil
}

// add adds what is to be sent, to the one before if that goes on.
func (r *replay) add(e Event) {
	if n := len(r.found); n > 0 {
		switch before := r.found[n-1].(type) {
		case Void:
			if e, ok := e.(Void); ok {
				r.found[n-1] = Void{r.epoch, before.Seq, e.Last}
				return
			}
		case Lost:
			if e, ok := e.(Lost); ok {
				r.found[n-1] = Lost{r.epoch, before.Seq, e.Last}
				return
			}
		}
	}
	r.found = append(r.found, e)
}

// void makes numbers void that have not come.
func (r *replay) void(ctx context.Context, missing []int64) error {
	failed := make([]error, len(missing))
	until := r.Clock.Now().Add(r.RecoverFor)
	r.sideBySide(len(missing), voidsAtOnce, func(i int) {
		failed[i] = r.untilKnown(ctx, func(lane.Instant) error {
			return r.Store.Void(ctx, r.conn.User, r.epoch, missing[i], until)
		})
	})
	return errors.Join(failed...)
}

// send sends what was found.
func (r *replay) send(ctx context.Context) error {
	events := r.conn.batched(r.found)
	r.found = nil
	for _, e := range events {
		switch err := r.tell(ctx, r.conn.Peer, e); {
		case errors.Is(err, ErrGone):
			r.endGone(ctx, r.conn.User, r.conn.ID)
			return errReplayEnds
		case err != nil:
			return errReplayEnds // its client asks again
		}
	}
	return nil
}
