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

// idle is connections that say nothing after they have authenticated.
type idle struct {
	connections int
	settle      time.Duration // for the server to be done with what it was doing
}

func (l idle) String() string { return fmt.Sprintf("%d idle connections", l.connections) }

// run measures a server.
func (l idle) run(s *server, d *dialect) (idleResult, error) {
	time.Sleep(time.Second)
	before, err := s.memory()
	if err != nil {
		return idleResult{}, err
	}
	conns := make([]*conn, l.connections)
	errs := make([]error, l.connections)
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
	for i := range l.connections {
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
	time.Sleep(l.settle)
	after, err := s.memory()
	return idleResult{
		rate:   float64(l.connections) / took.Seconds(),
		memory: float64(after-before) / float64(l.connections),
	}, err
}
