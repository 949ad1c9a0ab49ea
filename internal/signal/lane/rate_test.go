package lane

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRate(t *testing.T) {
	r := Rate{PerSecond: 10, Burst: 3}
	var full TAT
	for _, c := range []struct {
		at   time.Duration
		want []bool
	}{
		{0, []bool{true, true, true, false, false}},
		{99 * time.Millisecond, []bool{false}},
		{100 * time.Millisecond, []bool{true, false}},
		{350 * time.Millisecond, []bool{true, true, false}},
		{time.Hour, []bool{true, true, true, false}}, // no more than a burst is saved up
	} {
		for i, want := range c.want {
			ok := r.Allows(full, 0, start.Add(c.at))
			if ok != want {
				t.Errorf("at %v, message %d: %v", c.at, i, ok)
			}
			if ok {
				full = r.Take(full, 1, start.Add(c.at))
			}
		}
	}
	if !(Rate{}).Allows(1<<62, 0, start) || (Rate{}).Take(7, 1, start) != 7 {
		t.Error("no limit limits")
	}
}

// In any span no more is let through than the burst and what the span brings.
func TestRateIsKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{PerSecond: rapid.IntRange(1, MaxPerSecond).Draw(t, "rate"), Burst: rapid.IntRange(1, 50).Draw(t, "burst")}
		var full TAT
		var passed []Instant
		now := start
		for range 300 {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Millisecond)
			taken := 0
			for ; taken < 3 && r.Allows(full, taken, now); taken++ {
				passed = append(passed, now)
			}
			full = r.Take(full, taken, now)
		}
		for i, from := range passed {
			for n, to := range passed[i:] {
				if most := float64(r.Burst) + to.Sub(from).Seconds()*float64(r.PerSecond)*1.001 + 1; float64(n+1) > most {
					t.Fatalf("%d messages within %v, %v", n+1, to.Sub(from), r)
				}
			}
		}
	})
}
