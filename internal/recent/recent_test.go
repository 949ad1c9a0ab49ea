package recent_test

import (
	"testing"

	"github.com/owt-signal/owt-signal/internal/recent"
)

// TestMap: the keys that were put last are kept, Size of them at least and twice
// as many at most, and each once.
func TestMap(t *testing.T) {
	const size, keys = 10, 1000
	m := recent.Map[int, int]{Size: size}
	for k := range keys {
		m.Put(k, k+1)
		m.Put(0, k+1) // stays, since it is used
		if m.Len() > 2*size {
			t.Fatalf("%d keys after %d were put", m.Len(), k+1)
		}
		for last := max(0, k-size+2); last <= k; last++ {
			if last > 0 && m.Get(last) != last+1 {
				t.Fatalf("after %d keys, key %d is %d", k+1, last, m.Get(last))
			}
		}
		if m.Get(0) != k+1 {
			t.Fatalf("key 0 is %d, want %d", m.Get(0), k+1)
		}
	}
	if m.Get(1) != 0 {
		t.Error("the first key was not forgotten")
	}
	before := m.Len()
	m.Delete(keys - 1)
	if m.Get(keys-1) != 0 || m.Len() != before-1 {
		t.Error("a deleted key is there")
	}
}
