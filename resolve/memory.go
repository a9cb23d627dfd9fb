package resolve

import "net/netip"

// memory remembers a value for each address for some time, and at most limit values. Beyond
// that it drops the oldest. It is not for concurrent use.
type memory[V any] struct {
	limit   int
	entries map[netip.Addr]remembered[V]
	order   queue[netip.Addr] // the entries, oldest first
}

type remembered[V any] struct {
	value V
	until int64 // in nanoseconds of the steady clock
}

func newMemory[V any](limit int) *memory[V] {
	return &memory[V]{limit: limit, entries: map[netip.Addr]remembered[V]{}}
}

// get returns the value for addr, also after its time.
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
