package main

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is how messages are sent: from one user of each pair to the other.
type load struct {
	pairs   int
	window  int // messages of a pair that wait for an ack
	payload int // bytes of padding in each message
	warmup  time.Duration
	measure time.Duration
}

func (l load) String() string {
	return fmt.Sprintf("%d pairs, window %d, %d bytes", l.pairs, l.window, l.payload)
}

// result is what was measured.
type result struct {
	rate     float64 // acked messages per second
	p50, p99 time.Duration
	cpu      time.Duration // of the server, per message
}

// pair is two users. Number n of a pair is its nth message.
type pair struct {
	dialect *dialect
	from    *conn
	to      *conn
	user    string // the receiver

	sent     []time.Time // by number, a ring of the window's size
	last     int64       // sent
	latency  []time.Duration
	acked    int64
	received atomic.Int64
}

// run measures a server.
func (l load) run(s *server, d *dialect) (result, error) {
	pairs, err := l.connect(s, d)
	hangUp := func() {
		for _, p := range pairs {
			p.from.Close()
			p.to.Close()
		}
	}
	defer hangUp()
	if err != nil {
		return result{}, err
	}
	begin := time.Now().Add(l.warmup)
	end := begin.Add(l.measure)
	var first error // that has happened
	var once sync.Once
	check := func(err error) {
		if err != nil {
			once.Do(func() { first = err; hangUp() })
		}
	}
	var all sync.WaitGroup
	for _, p := range pairs {
		all.Go(func() { check(p.send(l, begin, end)) })
		all.Go(func() { check(p.receive()) })
	}
	time.Sleep(time.Until(begin))
	before, err := s.cpu()
	if err != nil {
		return result{}, err
	}
	time.Sleep(time.Until(end))
	after, err := s.cpu()
	if err != nil {
		return result{}, err
	}
	all.Wait()
	if first != nil {
		return result{}, first
	}
	var latency []time.Duration
	for _, p := range pairs {
		latency = append(latency, p.latency...)
	}
	slices.Sort(latency)
	n := len(latency)
	if n == 0 {
		return result{}, fmt.Errorf("no message was acked")
	}
	return result{
		rate: float64(n) / l.measure.Seconds(),
		p50:  latency[n/2], p99: latency[n*99/100],
		cpu: (after - before) / time.Duration(n),
	}, nil
}

func (l load) connect(s *server, d *dialect) ([]*pair, error) {
	var pairs []*pair
	for i := range l.pairs {
		p := &pair{dialect: d, user: fmt.Sprintf("%d-b", i), sent: make([]time.Time, l.window)}
		var err error
		if p.to, err = login(s, d, p.user, 64<<10); err != nil {
			return pairs, err
		}
		if p.from, err = login(s, d, fmt.Sprintf("%d-a", i), 64<<10); err != nil {
			p.to.Close()
			return pairs, err
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func login(s *server, d *dialect, user string, readBuffer int) (*conn, error) {
	c, err := dial(s.address, d.target(user), readBuffer)
	if err != nil {
		return nil, err
	}
	if err := d.login(c, user); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// stalled bounds how long nothing may come while something must.
const stalled = 30 * time.Second

// send keeps the window full until the end, then waits for the acks that are due,
// and tells the receiver how many there were to be.
func (p *pair) send(l load, begin, end time.Time) error {
	padding := bytes.Repeat([]byte("x"), l.payload)
	fill := func(now time.Time) error {
		for p.last < p.acked+int64(l.window) && now.Before(end) {
			p.last++
			p.sent[p.last%int64(l.window)] = now
			p.from.queue(p.dialect.message(p.last, p.user, padding)...)
		}
		return p.from.flush()
	}
	if err := fill(time.Now()); err != nil {
		return err
	}
	outstanding := make(map[int64]bool) // acks that came early
	var b []byte
	for p.acked < p.last {
		_ = p.from.SetReadDeadline(time.Now().Add(stalled))
		var err error
		if b, err = p.from.next(b); err != nil {
			return fmt.Errorf("acks: %w", err)
		}
		f, err := p.dialect.parse(b)
		if err != nil {
			return err
		}
		if f.isPing {
			p.from.queue(p.dialect.pong)
		}
		now := time.Now()
		if f.isAck {
			if f.number <= p.acked || f.number > p.last || outstanding[f.number] {
				return fmt.Errorf("ack of %d, after %d of %d", f.number, p.acked, p.last)
			}
			if now.After(begin) && now.Before(end) {
				p.latency = append(p.latency, now.Sub(p.sent[f.number%int64(l.window)]))
			}
			outstanding[f.number] = true
			for outstanding[p.acked+1] {
				delete(outstanding, p.acked+1)
				p.acked++
			}
		}
		if p.from.r.Buffered() == 0 { // answer a batch with a batch
			if err := fill(now); err != nil {
				return err
			}
		}
	}
	for deadline := time.Now().Add(stalled); p.received.Load() < p.last; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d messages acked, %d received", p.last, p.received.Load())
		}
	}
	return p.to.Close()
}

// receive checks that messages come in order and without a loss, until the
// connection is closed.
func (p *pair) receive() error {
	var b []byte
	for {
		var err error
		if b, err = p.to.next(b); err != nil {
			return nil //nolint:nilerr // send closes the connection, and knows what is missing
		}
		f, err := p.dialect.parse(b)
		switch {
		case err != nil:
			return err
		case f.isPing:
			p.to.queue(p.dialect.pong)
			if err := p.to.flush(); err != nil {
				return err
			}
		case f.isMessage:
			if want := p.received.Load() + 1; f.number != want {
				return fmt.Errorf("received %d, want %d", f.number, want)
			}
			p.received.Add(1)
		}
	}
}
