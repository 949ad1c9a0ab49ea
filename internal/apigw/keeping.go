package apigw

import (
	"sync"

	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// KeptRate is how many KiB a process keeps of what clients say that have not
// authenticated, messages and packets in a lobby, where each KiB is a unit of the
// table, and another to delete it. The first of each message or post is not counted:
// how many there are is bounded by themselves.
var KeptRate = lane.Rate{PerSecond: 16, Burst: 64}

// keptBesides is how many bytes an item has, at most, besides what was said.
const keptBesides = 128

// keeping is what a process has kept of that. The zero value is ready.
type keeping struct {
	mu  sync.Mutex
	tat lane.TAT
}

// counted returns how many KiB of so many bytes count.
func counted(bytes int) int { return (bytes + keptBesides) >> 10 }

// may reports whether more may be kept than what is not counted.
func (k *keeping) may(r lane.Rate, now lane.Instant) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return r.Allows(k.tat, 0, now)
}

// keep counts what was kept.
func (k *keeping) keep(r lane.Rate, bytes int, now lane.Instant) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tat = r.Take(k.tat, counted(bytes), now)
}
