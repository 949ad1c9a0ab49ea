package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

// How often garbage is collected: where many connections are at rest, when there
// is a quarter of what is in use, so that they take little memory; where little
// is in use, when there are some 10 MB, and not 4, so that messages are quick.
const (
	garbage = 25       // percent of what is in use, GOGC
	ballast = 40 << 20 // bytes that count as in use; they are never touched, and so take no memory
)

// tuneGC does so unless the environment has a GOGC of its own.
func tuneGC() (release func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	debug.SetGCPercent(garbage)
	untouched := make([]byte, ballast)
	return func() { runtime.KeepAlive(untouched) }
}
