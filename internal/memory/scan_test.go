package memory_test

import (
	"strconv"
	"testing"

	"github.com/owt-signal/owt-signal/internal/memory"
	"github.com/owt-signal/owt-signal/internal/signal"
	"github.com/owt-signal/owt-signal/internal/signal/lane"
)

// BenchmarkSegment reads a segment of 100,000 connections.
func BenchmarkSegment(b *testing.B) {
	const connections, now = 100_000, lane.Instant(1)
	s := memory.New()
	for i := range connections {
		name := strconv.Itoa(i)
		c := signal.Connection{Peer: signal.Peer{ID: signal.ConnectionID(name)}, Expires: now + 1}
		if err := s.Create(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Claim(b.Context(), signal.Claim{User: signal.UserName(name), Peer: c.Peer, At: now, Until: now + 1}); err != nil {
			b.Fatal(err)
		}
	}
	seen, i := 0, 0
	for b.Loop() {
		of := signal.Segment{Index: i % signal.Segments, Of: signal.Segments}
		if err := s.Scan(b.Context(), of, now, func(signal.Connection) { seen++ }, func(signal.UserName) {}); err != nil {
			b.Fatal(err)
		}
		i++
	}
	b.ReportMetric(float64(seen)/float64(i), "connections/op")
}
