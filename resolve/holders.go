package resolve

import "net/netip"

// keyed is a value with a unique name among its kind.
type keyed interface{ key() string }

// holders maps an address to its owners, if there may be several: load balancers share
// addresses, and an annotation may contain anything. Adding and removing take constant
// time, however many owners an address has. It is not for concurrent use.
type holders[V keyed] map[netip.Addr]holding[V]

// holding holds the owners of one address. Nearly always there is one, which needs no map.
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

// get returns one owner of addr, and the number of owners.
func (h holders[V]) get(addr netip.Addr) (v V, n int) {
	has, ok := h[addr]
	if !ok {
		return v, 0
	}
	return has.first, 1 + len(has.more)
}
