package sim

import (
	"context"
	"slices"
	"strconv"

	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// bodies are what held frames say, which the store keeps apart from its records,
// as one on DynamoDB does (internal/dynamo): written before the frame is held,
// fetched by who has taken it, and deleted with its run. Nil: they are not apart.
type bodies map[string]lane.Frame

// keep writes the bodies of the frames that u holds, and returns u without them.
func (b bodies) keep(id signal.ConnectionID, u signal.Update) signal.Update {
	u.Change.Hold = slices.Clone(u.Change.Hold)
	for i := range u.Change.Hold {
		h := &u.Change.Hold[i]
		name := strconv.FormatInt(h.N, 10) + "#" + h.By
		b[string(id)+name] = h.Frame
		h.Frame = lane.Frame{Code: h.Code, Asks: h.Asks, Body: lane.Body{Name: name, Len: h.Len(), Digest: h.Digest()}}
	}
	return u
}

// fetch returns a run with what its frames say.
func (b bodies) fetch(id signal.ConnectionID, run []lane.Numbered) []lane.Numbered {
	run = slices.Clone(run)
	for i := range run {
		f := &run[i]
		if !f.Apart() {
			continue
		}
		if body, ok := b[string(id)+f.Body.Name]; ok {
			f.To, f.Data = body.To, body.Data
		} else {
			f.Code = lane.CodeBusy
		}
	}
	return run
}

// drop deletes the bodies of frames.
func (b bodies) drop(id signal.ConnectionID, frames []lane.Numbered) {
	for _, f := range frames {
		delete(b, string(id)+f.Body.Name)
	}
}

// of returns how many of the frames have a body.
func (b bodies) of(frames []lane.Numbered) (n int) {
	for _, f := range frames {
		if f.Apart() {
			n++
		}
	}
	return n
}

// Fetch implements [signal.ConnectionStore].
func (s store) Fetch(_ context.Context, id signal.ConnectionID, run []lane.Numbered) (fetched []lane.Numbered, err error) {
	apart := s.bodies.of(run)
	err = s.call("fetch", item{}, func() { fetched = s.bodies.fetch(id, run) })
	s.counts["reads"] += apart - 1 // which are read one by one
	s.units.charge("", false, apart, s.units.body(), s.now)
	return fetched, err
}
