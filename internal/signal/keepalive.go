package signal

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// How a round of keepalive goes about its work; docs/decisions/0004-keepalive.md
// says what it costs.
const (
	// Segments is in how many parts a round reads the connections, so that one
	// that is cut short can begin elsewhere than the one before.
	Segments = 64
	// SegmentsAtOnce is how many of them are read at a time.
	SegmentsAtOnce = 4
	// PingRate is how many connections a round visits per second, unless the
	// service says otherwise: a request each, and requests count against the
	// 10,000 per second of the account, in some Regions 2,500, which the messages
	// of clients need ("Amazon API Gateway quotas").
	PingRate = 1000
	// PingsAtOnce is how many visits are under way at a time: PingRate is
	// reached as long as they take 128 ms on average.
	PingsAtOnce = 128
	// pingBurst is how many visits may begin at once.
	pingBurst = 50
	// A client goes if it misses one ping, so what was not accepted is sent
	// again; a ping that arrives twice does no harm.
	pingTries = 2
	pingRetry = 500 * time.Millisecond
	// MaxHandshake is how long a connection may not be open yet, and look as if
	// it were gone: API Gateway waits 29 s for the answer to its handshake, and
	// dates the connection by a clock of its own.
	MaxHandshake = 30*time.Second + lane.ClockBound
	// RoundMargin is how long before its deadline a round begins nothing more,
	// and roundEnd how long before it what it has begun must be over.
	RoundMargin = 5 * time.Second
	roundEnd    = time.Second
)

// round is one round of keepalive.
type round struct {
	*Service
	pace  *rate.Limiter
	began lane.Instant
	first int          // the segment at which it begins
	read  atomic.Int64 // segments read to their end
	cut   atomic.Bool  // there was no time left for a connection

	places chan struct{} // of those who visit

	scanned, pinged, probed, ended, gone, deleted, failed atomic.Int64 // connections
	owed                                                  atomic.Int64 // users whose presence was announced again

	mu      sync.Mutex
	unread  error // the first failure to read a segment
	failure error // the first failure of a visit
}

// Keepalive visits every connection once. Those whose client waits for it are
// pinged; the others are only looked at, for one that is gone was perhaps never
// reported so. What is gone ends, and so does what is revoked, such as a
// connection whose token has ended. Records that have expired are deleted:
// DynamoDB does so for nothing, but days later, and each round would read them,
// and pay for them, until then. And it tells those who watch a user what they were
// to be told before. A round that its context cuts short says so,
// and how far it got; the next one begins at another place.
func (s *Service) Keepalive(ctx context.Context) error {
	r := &round{Service: s, pace: rate.NewLimiter(rate.Limit(cmp.Or(s.PingRate, PingRate)), pingBurst), began: s.Clock.Now(), first: s.anySegment(), places: make(chan struct{}, PingsAtOnce)}
	begin, stop := before(ctx, RoundMargin)
	defer stop()
	work, stop := before(ctx, roundEnd)
	defer stop()
	s.sideBySide(Segments, SegmentsAtOnce, func(n int) { r.readSegment(work, begin, (r.first+n)%Segments) })
	return r.end(ctx, begin)
}

// anySegment returns a random segment.
func (s *Service) anySegment() int {
	var b [4]byte
	s.Random(b[:])
	return int(binary.BigEndian.Uint32(b[:]) % Segments)
}

// before returns a context that ends so long before ctx must.
func before(ctx context.Context, margin time.Duration) (context.Context, context.CancelFunc) {
	if end, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, end.Add(-margin))
	}
	return context.WithCancel(ctx)
}

// readSegment reads a segment as fast as its connections are visited, and returns
// when they have been.
func (r *round) readSegment(work, begin context.Context, n int) {
	if begin.Err() != nil {
		return
	}
	var waits []func()
	beside := func(visit After) {
		select {
		case r.places <- struct{}{}:
		case <-begin.Done():
			r.cut.Store(true)
			return
		}
		waits = append(waits, r.beside(func() {
			defer func() { <-r.places }()
			r.announcingIn(work, func() bool { return r.pause(begin) }, visit)
		}))
	}
	err := r.Store.Scan(begin, Segment{n, Segments}, r.Clock.Now(), func(c Connection) {
		beside(func(ctx context.Context) { r.visit(ctx, begin, c) })
	}, func(user UserName) {
		beside(func(ctx context.Context) { r.changed(ctx, user) })
		r.owed.Add(1)
	})
	switch {
	case begin.Err() != nil:
	case err != nil:
		r.note(&r.unread, err)
	default:
		r.read.Add(1)
	}
	for _, wait := range waits {
		wait()
	}
}

// visit visits a connection, unless begin has ended.
func (r *round) visit(ctx, begin context.Context, c Connection) {
	var err error
	switch {
	case c.Expires <= r.Clock.Now():
		err = r.paced(begin, &r.deleted, func() error { return r.forget(ctx, c) })
	case c.Revoked(r.Clock.Now()):
		err = r.paced(begin, &r.ended, func() error {
			c.Lane = lane.New() // it was not read
			r.endRevoked(ctx, c, closing)
			return nil
		})
	case c.Protocol == Backend: // it has no socket
	case c.User == "" && r.Clock.Now().Sub(c.Since) < MaxHandshake:
	case r.Pings != nil && r.Pings(c.Protocol):
		err = r.paced(begin, &r.pinged, func() error { return r.Pusher.Post(ctx, c.Peer, Ping{}) })
	case r.Prober != nil:
		err = r.paced(begin, &r.probed, func() error { return r.Prober.Probe(ctx, c.Peer) })
	}
	switch {
	case errors.Is(err, errNoTime):
		r.cut.Store(true)
		return
	case errors.Is(err, ErrGone):
		r.gone.Add(1)
		r.endGone(ctx, c.User, c.ID)
	case err != nil:
		r.failed.Add(1)
		r.note(&r.failure, err)
	}
	r.scanned.Add(1)
}

// forget deletes the record of a connection. If it still owns its name, whoever
// ended it has died before he could release that.
func (s *Service) forget(ctx context.Context, c Connection) error {
	if c.User != "" {
		owner, err := s.Store.Owner(ctx, c.User, s.Clock.Now())
		if err == nil && owner.ID == c.ID {
			_, err = s.release(ctx, c.User, c.ID, c.Lane.TAT)
		}
		if err != nil && !errors.Is(err, ErrOffline) {
			return err
		}
	}
	return s.Store.Delete(ctx, c.ID, s.Clock.Now())
}

// errNoTime: there is no time left to begin.
var errNoTime = errors.New("no time left")

// paced does something at the round's pace, and once more if it may not have
// worked. It counts what has.
func (r *round) paced(ctx context.Context, count *atomic.Int64, do func() error) error {
	err := errNoTime
	for try := range pingTries {
		if try > 0 && r.Clock.Sleep(ctx, pingRetry) != nil || !r.pause(ctx) {
			return err
		}
		switch err = do(); {
		case err == nil:
			count.Add(1)
			return nil
		case errors.Is(err, ErrGone):
			return err
		}
	}
	return err
}

// pause waits for the next place in the round's pace, and reports whether
// there is one before ctx ends.
func (r *round) pause(ctx context.Context) bool {
	now := r.Clock.Now().Time()
	if wait := r.pace.ReserveN(now, 1).DelayFrom(now); wait > 0 && r.Clock.Sleep(ctx, wait) != nil {
		return false
	}
	return ctx.Err() == nil
}

// note keeps the first of several errors.
func (r *round) note(first *error, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *first == nil {
		*first = err
	}
}

// end logs what came of the round. It is an error if a connection was left
// out.
func (r *round) end(ctx, begin context.Context) error {
	read, err := r.read.Load(), r.unread
	if err == nil && (read < Segments || r.cut.Load()) {
		err = begin.Err()
	}
	level := slog.LevelInfo
	if err != nil && !errors.Is(err, context.Canceled) {
		level = slog.LevelWarn
	}
	figures := []any{
		"scanned", r.scanned.Load(), "pinged", r.pinged.Load(), "probed", r.probed.Load(), "ended", r.ended.Load(), "gone", r.gone.Load(), "deleted", r.deleted.Load(), "owed", r.owed.Load(), "failed", r.failed.Load(),
		"first", r.first, "segments", read, "took", r.Clock.Now().Sub(r.began).String(),
	}
	if failed := errors.Join(err, r.failure); failed != nil {
		figures = append(figures, "error", failed)
	}
	r.Log.Log(ctx, level, "keepalive", figures...)
	r.Count(MetricPinged, int(r.pinged.Load()))
	if err != nil {
		return fmt.Errorf("keep connections alive: %d of %d segments read: %w", read, Segments, err)
	}
	return nil
}
