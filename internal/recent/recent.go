// Package recent is a map of bounded size, which forgets what was not used lately.
package recent

// Map keeps the values of the Size keys that were put last, and of up to as many
// before them. It is not safe for concurrent use.
type Map[K comparable, V any] struct {
	Size       int
	young, old map[K]V
}

// Get returns the value of a key; zero if there is none.
func (m *Map[K, V]) Get(k K) V {
	if v, ok := m.young[k]; ok {
		return v
	}
	return m.old[k]
}

// Put sets the value of a key.
func (m *Map[K, V]) Put(k K, v V) {
	if _, ok := m.young[k]; !ok && len(m.young) >= m.Size {
		m.young, m.old = nil, m.young
	}
	if m.young == nil {
		m.young = make(map[K]V)
	}
	m.young[k] = v
	delete(m.old, k)
}

// Delete forgets a key.
func (m *Map[K, V]) Delete(k K) {
	delete(m.young, k)
	delete(m.old, k)
}

// Len returns how many keys are kept.
func (m *Map[K, V]) Len() int { return len(m.young) + len(m.old) }
