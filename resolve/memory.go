package resolve

import "net/netip"

// memory remembers something about addresses, each for its time, and not more
// than limit of them: beyond, the longest known goes. It is not for concurrent
// use.
type memory[V any] struct {
	limit   int
	entries map[netip.Addr]remembered[V]
	order   queue[netip.Addr] // of entries, oldest first
}

type remembered[V any] struct {
	value V
	until int64 // nanoseconds of the steady clock
}

func newMemory[V any](limit int) *memory[V] {
	return &memory[V]{limit: limit, entries: map[netip.Addr]remembered[V]{}}
}

// get returns what is remembered of addr, past its time as well.
func (m *memory[V]) get(addr netip.Addr) (remembered[V], bool) {
	e, ok := m.entries[addr]
	return e, ok
}

func (m *memory[V]) put(addr netip.Addr, value V, until int64) {
	if _, known := m.entries[addr]; !known {
		if m.order.len() >= m.limit {
			delete(m.entries, m.order.first())
			m.order.pop()
		}
		m.order.push(addr)
	}
	m.entries[addr] = remembered[V]{value, until}
}
