package client

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	b := backoff{min: time.Second, max: 5 * time.Second}
	const almost = 0.999999
	for i, seconds := range []int{1, 2, 4, 5, 5} {
		want := time.Duration(seconds) * time.Second
		if got := b.next(almost).Round(time.Millisecond); got != want {
			t.Errorf("wait %d is %v, want up to %v", i, got, want)
		}
	}
	b.lasted(steady - 1)
	if got := b.next(almost); got < 4*time.Second {
		t.Errorf("after a short connection: %v", got)
	}
	b.lasted(steady)
	if got := b.next(almost); got >= time.Second {
		t.Errorf("after a steady connection: %v", got)
	}
	if got := b.next(0); got != 0 {
		t.Errorf("the least wait is %v", got)
	}
	for range 100 {
		if got := b.next(almost); got > 5*time.Second || got < 0 {
			t.Fatalf("wait of %v", got)
		}
	}
}
