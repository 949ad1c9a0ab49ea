package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/owt-signal/owt-signal/internal/emf"
	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/signal"
)

// Post implements [apigw.Connections] by a call in this process.
func (a *api) Post(ctx context.Context, _ string, id signal.ConnectionID, frame []byte) error {
	if a.metrics != nil {
		began := time.Now()
		defer func() { a.metrics.Observe(emf.PostLatency, time.Since(began)) }()
	}
	return translate(a.gateway.Post(ctx, string(id), frame))
}

// Get implements [apigw.Connections] by a call in this process.
func (a *api) Get(ctx context.Context, _ string, id signal.ConnectionID) error {
	_, err := a.gateway.Get(ctx, string(id))
	return translate(err)
}

// Delete implements [apigw.Connections] by a call in this process.
func (a *api) Delete(ctx context.Context, _ string, id signal.ConnectionID) error {
	err := translate(a.gateway.Delete(ctx, string(id)))
	if errors.Is(err, signal.ErrGone) {
		return nil
	}
	return err
}

// translate maps the gateway's errors to the domain's.
func translate(err error) error {
	for theirs, ours := range map[error]error{
		gateway.ErrGone:            signal.ErrGone,
		gateway.ErrLimitExceeded:   signal.ErrBusy,
		gateway.ErrPayloadTooLarge: signal.ErrTooLarge,
	} {
		if errors.Is(err, theirs) {
			return fmt.Errorf("%w: %w", ours, err)
		}
	}
	return err
}
