package flow

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	"github.com/kube-nflog/kube-nflog/decode"
)

// key is what the drops of a flow agree on: two addresses, and everything else packed
// into one word. Only this file knows what is in a key: a new field of flows goes into
// packDrop or key, is and equals, hash, and fill.
//
// A key holds no pointer, so that the garbage collector does not scan the tables, which
// can be large. It is five words, which are compared and hashed as such, because that is
// done for every packet.
type key struct {
	source, destination address
	packed              packed
}

// packed holds, from its lowest bit: 16 bits of port (the destination's, or ICMP type
// and code), 16 of group, 8 of protocol, 7 of kind, 1 for IPv6, 4 of hook and 12 of
// prefix (an index into Table.prefixes).
type packed uint64

const (
	groupShift    = 16
	protocolShift = 32
	kindShift     = 40
	ipv6Shift     = 47
	hookShift     = 48
	prefixShift   = 52

	maxPrefixes = 1 << 12
)

// kind says which parts of a key are valid.
type kind uint8

const (
	hasPorts kind = 1 << iota
	hasICMP
	fragment
	overflow
	hasSource
	hasDestination
)

// packDrop packs what of a drop's key is not an address.
func packDrop(d *decode.Drop, prefix uint16) packed {
	kind, port := hasSource|hasDestination, uint16(0)
	switch {
	case d.HasPorts:
		kind |= hasPorts
		port = d.DestinationPort
	case d.HasICMP:
		kind |= hasICMP
		port = uint16(d.ICMPType)<<8 | uint16(d.ICMPCode)
	case d.Fragment:
		kind |= fragment
	}
	p := packed(port) | packed(d.Group)<<groupShift | packed(d.Protocol)<<protocolShift | kind.pack() |
		packed(d.Hook&0xf)<<hookShift | packed(prefix)<<prefixShift
	if d.Family == decode.IPv6 {
		p |= 1 << ipv6Shift
	}
	return p
}

// set sets the key to that of a drop.
func (k *key) set(d *decode.Drop, p packed) {
	k.source, k.destination, k.packed = addressOf(&d.Source), addressOf(&d.Destination), p
}

// is reports whether the key is that of a drop, without making that key.
func (k *key) is(d *decode.Drop, p packed) bool {
	return k.packed == p && k.source == addressOf(&d.Source) && k.destination == addressOf(&d.Destination)
}

// equals compares word by word. For a value of this size == calls a function, which
// costs more than the comparison.
func (k *key) equals(o *key) bool {
	return k.packed == o.packed && k.source == o.source && k.destination == o.destination
}

// fill sets the fields of a flow that come from its key. It skips what last, the key of
// the flow that f was before, has in common: many flows in a row mostly differ in one
// address only.
func (k *key) fill(f *Flow, last *key, prefixes []string) {
	if k.packed != last.packed {
		k.packed.fill(f, prefixes)
	}
	if k.source != last.source || k.packed != last.packed {
		f.Source = k.sourceAddr()
	}
	if k.destination != last.destination || k.packed != last.packed {
		f.Destination = k.destinationAddr()
	}
}

// fill empties a flow and sets the fields that are packed.
func (p packed) fill(f *Flow, prefixes []string) {
	kind := p.kind()
	*f = Flow{
		Group: p.group(), Prefix: prefixes[p.prefix()], Hook: p.hook(), Family: p.family(), Protocol: p.protocol(),
		Fragment: kind&fragment != 0, Overflow: kind&overflow != 0,
	}
	switch {
	case kind&hasPorts != 0:
		f.HasPorts, f.DestinationPort = true, p.port()
	case kind&hasICMP != 0:
		f.HasICMP = true
		f.ICMPType, f.ICMPCode = uint8(p.port()>>8), uint8(p)
	}
}

// rule is what the packets of a rule, a protocol and an IP version have in common.
func (p packed) rule() packed { return p &^ (0xffff | 0x7f<<kindShift) }

// groupAndFamily is what the packets of a group and an IP version have in common.
func (p packed) groupAndFamily() packed { return p & (0xffff<<groupShift | 1<<ipv6Shift) }

// prefixAndProtocol is what the packets of a prefix and a protocol have in common.
func (p packed) prefixAndProtocol() packed {
	return p & (0xff<<protocolShift | (maxPrefixes-1)<<prefixShift)
}

func (k kind) pack() packed { return packed(k) << kindShift }

func (p packed) kind() kind                { return kind(p>>kindShift) & 0x7f }
func (p packed) port() uint16              { return uint16(p) }
func (p packed) group() uint16             { return uint16(p >> groupShift) }
func (p packed) protocol() decode.Protocol { return decode.Protocol(p >> protocolShift) }
func (p packed) hook() decode.Hook         { return decode.Hook(p>>hookShift) & 0xf }
func (p packed) prefix() uint16            { return uint16(p >> prefixShift) }

func (p packed) family() decode.Family {
	if p>>ipv6Shift&1 != 0 {
		return decode.IPv6
	}
	return decode.IPv4
}

// address is an address's 16 bytes as two words.
type address struct{ high, low uint64 }

func addressOf(b *[16]byte) address {
	return address{binary.NativeEndian.Uint64(b[:8]), binary.NativeEndian.Uint64(b[8:])}
}

func (k *key) sourceAddr() netip.Addr { return k.addr(hasSource, k.source) }

func (k *key) destinationAddr() netip.Addr { return k.addr(hasDestination, k.destination) }

func (k *key) addr(valid kind, a address) netip.Addr {
	if k.packed.kind()&valid == 0 {
		return netip.Addr{}
	}
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], a.high)
	binary.NativeEndian.PutUint64(b[8:], a.low)
	return decode.Addr(k.packed.family(), b)
}

// seed makes the hashes of each table different, so that nobody can choose addresses
// whose hashes collide.
type seed [5]uint64

func newSeed() seed {
	return seed{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64() | 1}
}

// hash mixes the key's words by folded 128-bit products, as wyhash does. hash/maphash
// takes four times as long for the same, which is much of what a packet costs.
func (k *key) hash(s *seed) uint64 {
	h := mix(k.source.high^s[0], k.source.low^s[1]) ^ mix(k.destination.high^s[2], k.destination.low^s[3])
	return mix(h^uint64(k.packed), s[4])
}

func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
