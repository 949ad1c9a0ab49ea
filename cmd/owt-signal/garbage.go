package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How often garbage is collected: where many connections are at rest, when there
// is a quarter of what is in use, so that they take little memory; where little
// is in use, when there are some 32 MB, and not 4, so that messages are quick.
const (
	garbage = 25        // percent of what is in use, GOGC
	ballast = 128 << 20 // bytes that count as in use; they are never touched, and so take no memory
)

// When the garbage of a busy time goes back to the system: once less than rest is
// allocated in restLook, if there may be some. Else it would stay until as much again
// is allocated.
const (
	restLook = time.Second
	rest     = 1 << 20 // bytes
	some     = 8 << 20 // bytes
)

// tuneGC does so until ctx ends, unless the environment has a GOGC of its own.
func tuneGC(ctx context.Context) (release func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	debug.SetGCPercent(garbage)
	go collectAtRest(ctx)
	untouched := make([]byte, ballast)
	return func() { runtime.KeepAlive(untouched) }
}

func collectAtRest(ctx context.Context) {
	var before, collected uint64
	for look := time.Tick(restLook); ; {
		select {
		case <-ctx.Done():
			return
		case <-look:
		}
		now := allocated()
		if now-before < rest && now-collected > some {
			debug.FreeOSMemory()
			now = allocated()
			collected = now
		}
		before = now
	}
}

// allocated returns how many bytes have been, since the start.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
