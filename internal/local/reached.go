package local

import (
	"context"
	"log/slog"

	"github.com/owt-signal/owt-signal/internal/gateway"
	"github.com/owt-signal/owt-signal/internal/memory"
)

// reached is how often each limit of this machine was reached since the start.
type reached struct {
	gateway.Refused
	memory.Forgotten
}

// logReached logs the counts, if they are not what they were.
func (a *api) logReached(ctx context.Context) {
	now := reached{Refused: a.gateway.Refused()}
	if a.memory != nil {
		now.Forgotten = a.memory.Forgotten()
	}
	if now == a.reached {
		return
	}
	a.reached = now
	a.log.WarnContext(ctx, "limits reached", slog.Group("refused",
		"connections", now.Connections, "perAddress", now.PerAddress, "sockets", now.Sockets, "unfinished", now.Unfinished,
	), slog.Group("forgotten", "names", now.Names, "sessions", now.Sessions, "ended", now.Ended))
}
