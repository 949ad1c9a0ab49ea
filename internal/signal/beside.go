package signal

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"
)

// goroutine is [Service.Beside] where nothing else is asked for. A panic of f is
// that of whoever waits for it.
func goroutine(f func()) (wait func()) {
	done, failure := make(chan struct{}), ""
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				failure = fmt.Sprintf("%v\n%s", v, debug.Stack())
			}
		}()
		f()
	}()
	return func() {
		if <-done; failure != "" {
			panic(failure)
		}
	}
}

func (s *Service) beside(f func()) (wait func()) {
	if s.Beside != nil {
		return s.Beside(f)
	}
	return goroutine(f)
}

// sideBySide calls f with each number below n, several at a time, and returns when
// that is done.
func (s *Service) sideBySide(n, atOnce int, f func(int)) {
	var next atomic.Int64
	work := func() {
		for i := next.Add(1); i <= int64(n); i = next.Add(1) {
			f(int(i - 1))
		}
	}
	var others []func()
	for range min(n, atOnce) - 1 {
		others = append(others, s.beside(work))
	}
	work()
	for _, wait := range others {
		wait()
	}
}
