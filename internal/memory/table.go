package memory

import "maps"

// table is a map that gives memory back: Go's keep that of their largest size. Its
// zero value is empty.
type table[K comparable, V any] struct {
	rows map[K]V
	most int // rows that there have been since the memory was last taken
}

// shrinkFrom is from how many rows on it is worth it.
const shrinkFrom = 64

func (t *table[K, V]) put(key K, v V) {
	if t.rows == nil {
		t.rows = make(map[K]V)
	}
	t.rows[key] = v
}

// remove removes a row. Where not a quarter is left, the others move.
func (t *table[K, V]) remove(key K) {
	t.most = max(t.most, len(t.rows))
	delete(t.rows, key)
	if t.most < shrinkFrom || len(t.rows) > t.most/4 {
		return
	}
	t.most = max(len(t.rows), shrinkFrom-1)
	rows := make(map[K]V, len(t.rows))
	maps.Copy(rows, t.rows)
	t.rows = rows
}
