package signal

import (
	"context"
	"slices"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// fetch returns a run with what the store keeps apart of its frames. Those of which
// it is not to be had are not posted.
func (v *invocation) fetch(ctx context.Context, run []lane.Numbered) []lane.Numbered {
	if !slices.ContainsFunc(run, func(f lane.Numbered) bool { return f.Apart() }) {
		return run
	}
	var fetched []lane.Numbered
	err := v.untilKnown(ctx, func(lane.Instant) (err error) {
		fetched, err = v.Store.Fetch(ctx, v.conn.ID, run)
		return err
	})
	if err == nil {
		return fetched
	}
	v.Log.ErrorContext(ctx, "fetch failed", "connection", v.conn.ID, "error", err)
	fetched = slices.Clone(run)
	for i := range fetched {
		if f := &fetched[i]; f.Apart() {
			f.Code = codeOf(err)
		}
	}
	return fetched
}
