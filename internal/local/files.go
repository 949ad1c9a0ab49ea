//go:build unix

package local

import (
	"log/slog"
	"syscall"
)

// spareFiles is how many open files are not a connection's: listeners, the log, the
// store, and sockets that are no WebSocket yet.
const spareFiles = 256

// warnOfFiles warns if there may be fewer open files than connections. Go has raised
// the soft limit to the hard one (package os).
func warnOfFiles(log *slog.Logger, connections int) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return
	}
	if needed := uint64(connections) + spareFiles; uint64(limit.Cur) < needed { //nolint:unconvert // on FreeBSD it has a sign
		log.Warn("fewer files may be open than connections are allowed", "files", limit.Cur, "needed", needed)
	}
}
