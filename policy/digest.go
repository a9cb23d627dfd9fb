package policy

import (
	"encoding/binary"
	"net/netip"
)

// digest tells at a glance which flows a rule cannot be about, or all rules of
// one direction of a policy, so that most need not be read: a bit stands for
// each peer and each port, and a flow that has none of them does not match.
type digest struct{ peers, ports uint64 }

// anyBit stands for what labels or numbers do not tell; every flow has it.
const anyBit = 1 << 63

// bit is a hash's, and never anyBit.
func bit(hash uint64) uint64 { return 1 << (hash % 63) }

// digests are those of all rules of each direction.
func (r *Record) digests() (all [2]digest) {
	for direction := range r.rules {
		for i := range r.rules[direction] {
			d := &r.rules[direction][i].about
			all[direction].peers |= d.peers
			all[direction].ports |= d.ports
		}
	}
	return all
}

func (r *rule) digest() (d digest) {
	if len(r.peers) == 0 {
		d.peers |= anyBit
	}
	for i := range r.peers {
		d.peers |= r.peers[i].bit()
	}
	if len(r.ports) == 0 {
		d.ports |= anyBit
	}
	for i := range r.ports {
		d.ports |= r.ports[i].bit()
	}
	return d
}

// bit is that of a label which whatever the peer selects must have, or of how
// its addresses begin.
func (p *peer) bit() uint64 {
	switch {
	case p.block != nil && (p.block.of.Bits() >= leading6 || p.block.of.Bits() >= leading4 && p.block.of.Addr().Is4()):
		return bit(leading(p.block.of.Addr()))
	case p.block != nil:
	case p.pods != nil && p.pods.bits != 0:
		return p.pods.bits & -p.pods.bits
	case p.namespaces != nil && p.namespaces.bits != 0:
		return p.namespaces.bits & -p.namespaces.bits
	}
	return anyBit
}

// How many bits leading looks at.
const leading4, leading6 = 16, 32

// leading is how an address begins.
func leading(a netip.Addr) uint64 {
	b := a.As16()
	if a.Is4() {
		return uint64(binary.BigEndian.Uint16(b[12:]))
	}
	return uint64(binary.BigEndian.Uint32(b[:]))
}

func (p *port) bit() uint64 {
	if p.name == "" && p.from == p.to && p.from != 0 {
		return bit(uint64(p.from))
	}
	return anyBit
}

// digest is what a flow has of peers and ports.
func (q *asked) digest() digest {
	d := digest{peers: anyBit | bit(leading(q.peerAddr)), ports: anyBit | bit(uint64(q.port))}
	switch q.peer.Kind {
	case Pod:
		d.peers |= q.peerLabels.bits | q.namespaceLabels.bits
	case Service, Unknown:
		d.peers = ^uint64(0) // it may have any
	}
	if q.server.Kind == Service {
		d.ports = ^uint64(0)
	}
	return d
}
