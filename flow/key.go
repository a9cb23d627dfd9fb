package flow

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"

	"github.com/kube-nflog/kube-nflog/decode"
)

// key is what the drops of a flow agree on: the two addresses, and the rest in
// one word. It has no pointer, so that the garbage collector need not look at
// the tables, which can be large; and it is five words that are compared and
// hashed as such, because that is done for every packet.
type key struct {
	source, destination address
	rest                rest
}

// rest is, from its lowest bit: 16 bits of port (the destination's, or ICMP
// type and code), 16 of group, 8 of protocol, 7 of kind, 1 for IPv6, 4 of hook
// and 12 of prefix (an index into Table.prefixes).
type rest uint64

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

// is says whether the key is that of a drop's flow, whose rest is given.
func (k *key) is(d *decode.Drop, r rest) bool {
	return k.rest == r && k.source == addressOf(&d.Source) && k.destination == addressOf(&d.Destination)
}

// equals compares word by word, which == of so large a value does not: it calls
// a function that must find out how long it is.
func (k *key) equals(o *key) bool {
	return k.rest == o.rest && k.source == o.source && k.destination == o.destination
}

// restOf returns the rest of the key of a drop's flow.
func restOf(d *decode.Drop, prefix uint16) rest {
	kind := hasSource | hasDestination
	switch {
	case d.HasPorts:
		kind |= hasPorts
	case d.HasICMP:
		kind |= hasICMP
	case d.Fragment:
		kind |= fragment
	}
	r := rest(portOf(d)) | rest(d.Group)<<groupShift | rest(d.Protocol)<<protocolShift | kind.rest() |
		rest(d.Hook&0xf)<<hookShift | rest(prefix)<<prefixShift
	if d.Family == decode.IPv6 {
		r |= 1 << ipv6Shift
	}
	return r
}

// with returns the rest with a drop's port instead.
func (r rest) with(d *decode.Drop) rest { return r&^0xffff | rest(portOf(d)) }

// portOf returns the destination port, or ICMP type and code, or 0.
func portOf(d *decode.Drop) uint16 {
	switch {
	case d.HasPorts:
		return d.DestinationPort
	case d.HasICMP:
		return uint16(d.ICMPType)<<8 | uint16(d.ICMPCode)
	}
	return 0
}

// rule is what a rule's packets of one protocol and IP version have in common.
func (r rest) rule() rest { return r &^ (0xffff | 0x7f<<kindShift) }

func (k kind) rest() rest { return rest(k) << kindShift }

func (r rest) kind() kind                { return kind(r>>kindShift) & 0x7f }
func (r rest) port() uint16              { return uint16(r) }
func (r rest) group() uint16             { return uint16(r >> groupShift) }
func (r rest) protocol() decode.Protocol { return decode.Protocol(r >> protocolShift) }
func (r rest) hook() decode.Hook         { return decode.Hook(r>>hookShift) & 0xf }
func (r rest) prefix() uint16            { return uint16(r >> prefixShift) }

func (r rest) family() decode.Family {
	if r>>ipv6Shift&1 != 0 {
		return decode.IPv6
	}
	return decode.IPv4
}

// icmp takes the port apart again.
func (r rest) icmp() (typ, code uint8) { return uint8(r.port() >> 8), uint8(r) }

// address is an address's 16 bytes as two words.
type address struct{ high, low uint64 }

func addressOf(a *[16]byte) address {
	return address{binary.NativeEndian.Uint64(a[:8]), binary.NativeEndian.Uint64(a[8:])}
}

func (k *key) sourceAddr() netip.Addr { return k.addr(hasSource, k.source) }

func (k *key) destinationAddr() netip.Addr { return k.addr(hasDestination, k.destination) }

func (k *key) addr(valid kind, a address) netip.Addr {
	if k.rest.kind()&valid == 0 {
		return netip.Addr{}
	}
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], a.high)
	binary.NativeEndian.PutUint64(b[8:], a.low)
	return decode.Addr(k.rest.family(), b)
}

// seed makes a process's hashes its own, so that nobody can choose addresses
// that collide.
type seed [5]uint64

func newSeed() seed {
	return seed{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64() | 1}
}

// hash mixes the key's words by folded 128-bit products, as wyhash does.
// hash/maphash does the same work in four times the time, which is a good part
// of what a packet costs.
func (k *key) hash(s *seed) uint64 {
	h := mix(k.source.high^s[0], k.source.low^s[1]) ^ mix(k.destination.high^s[2], k.destination.low^s[3])
	return mix(h^uint64(k.rest), s[4])
}

func mix(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}
