package main

import (
	"fmt"
	"sync"
	"time"
)

// idleResult is what idle connections cost.
type idleResult struct {
	rate   float64 // connections per second, each authenticated
	memory float64 // bytes per connection, resident
}

// dialling is how many connections are made at a time.
const dialling = 50

// idle opens connections that say nothing after they have authenticated, and
// gives the server some time to be done with what it was doing.
func idle(s *server, d *dialect, connections int, settle time.Duration) (idleResult, error) {
	time.Sleep(time.Second)
	before, err := s.memory()
	if err != nil {
		return idleResult{}, err
	}
	conns := make([]*conn, connections)
	errs := make([]error, connections)
	numbers := make(chan int)
	var all sync.WaitGroup
	start := time.Now()
	for range dialling {
		all.Go(func() {
			for i := range numbers {
				conns[i], errs[i] = login(s, d, fmt.Sprintf("idle-%d", i), 512)
			}
		})
	}
	for i := range connections {
		numbers <- i
	}
	close(numbers)
	all.Wait()
	took := time.Since(start)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.Close()
			}
		}
	}()
	for i, err := range errs {
		if err != nil {
			return idleResult{}, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	time.Sleep(settle)
	after, err := s.memory()
	return idleResult{
		rate:   float64(connections) / took.Seconds(),
		memory: float64(after-before) / float64(connections),
	}, err
}
