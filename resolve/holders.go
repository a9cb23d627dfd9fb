package resolve

import "net/netip"

// keyed is a value with a name of its own among its kind.
type keyed interface{ key() string }

// holders knows by address who has it, where several may: load balancers share
// addresses, and an annotation may say anything. Adding and removing take
// constant time, however many have an address. It is not for concurrent use.
type holders[V keyed] map[netip.Addr]holding[V]

// holding is who has one address: nearly always one, which needs no map.
type holding[V keyed] struct {
	first V
	more  map[string]V // the others, by name
}

func (h holders[V]) add(addr netip.Addr, v V) {
	has, ok := h[addr]
	switch {
	case !ok || has.first.key() == v.key():
		has.first = v
	case has.more == nil:
		has.more = map[string]V{v.key(): v}
	default:
		has.more[v.key()] = v
	}
	h[addr] = has
}

func (h holders[V]) remove(addr netip.Addr, v V) {
	has, ok := h[addr]
	switch {
	case !ok:
	case has.first.key() != v.key():
		delete(has.more, v.key())
	case len(has.more) == 0:
		delete(h, addr)
	default:
		for name, next := range has.more {
			delete(has.more, name)
			has.first = next
			break
		}
		h[addr] = has
	}
}

// get returns one that has addr, and how many there are.
func (h holders[V]) get(addr netip.Addr) (v V, n int) {
	has, ok := h[addr]
	if !ok {
		return v, 0
	}
	return has.first, 1 + len(has.more)
}
