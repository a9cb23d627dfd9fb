package resolve

import (
	"encoding/binary"
	"net/netip"
)

// addrMap maps addresses to pods. It needs half the memory and half the time of a map with
// netip.Addr keys. It ignores zones. The zero value may only be read; see newAddrMap.
type addrMap struct {
	four map[uint32]*pod
	six  map[[16]byte]*pod
}

func newAddrMap() addrMap {
	return addrMap{four: map[uint32]*pod{}, six: map[[16]byte]*pod{}}
}

func four(addr netip.Addr) uint32 {
	b := addr.As4()
	return binary.BigEndian.Uint32(b[:])
}

// get returns the pod of an address, nil if there is none.
func (m *addrMap) get(addr netip.Addr) *pod {
	if addr.Is4() {
		return m.four[four(addr)]
	}
	return m.six[addr.As16()]
}

func (m *addrMap) set(addr netip.Addr, p *pod) {
	if addr.Is4() {
		m.four[four(addr)] = p
		return
	}
	m.six[addr.As16()] = p
}

func (m *addrMap) remove(addr netip.Addr) {
	if addr.Is4() {
		delete(m.four, four(addr))
		return
	}
	delete(m.six, addr.As16())
}

func (m *addrMap) len() int { return len(m.four) + len(m.six) }
