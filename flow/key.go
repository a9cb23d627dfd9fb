package flow

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"

	"github.com/kube-nflog/kube-nflog/decode"
)

// key is what the drops of a flow agree on. It has no pointer, so that the
// garbage collector need not look at the tables, which can be large, and no
// padding, so that it is hashed and compared as bytes.
type key struct {
	source, destination [16]byte
	prefix              uint16 // index into Table.prefixes
	group               uint16
	port                uint16 // destination port, or ICMP type and code
	family              decode.Family
	protocol            decode.Protocol
	hook                decode.Hook
	kind                kind
}

// kind says which fields of a key are valid.
type kind uint8

const (
	hasPorts kind = 1 << iota
	hasICMP
	fragment
	overflow
	hasSource
	hasDestination
)

func kindOf(d *decode.Drop) kind {
	k := hasSource | hasDestination
	switch {
	case d.HasPorts:
		k |= hasPorts
	case d.HasICMP:
		k |= hasICMP
	case d.Fragment:
		k |= fragment
	}
	return k
}

func portOf(d *decode.Drop) uint16 {
	if d.HasICMP {
		return binary.BigEndian.Uint16([]byte{d.ICMPType, d.ICMPCode})
	}
	return d.DestinationPort
}

// keyOf returns the key of a drop's flow.
func keyOf(d *decode.Drop, prefix uint16) key {
	return key{
		source: d.Source, destination: d.Destination, prefix: prefix, group: d.Group, port: portOf(d),
		family: d.Family, protocol: d.Protocol, hook: d.Hook, kind: kindOf(d),
	}
}

// hash is seeded, so that nobody can choose addresses that collide.
func (k *key) hash(seed maphash.Seed) uint64 { return maphash.Comparable(seed, *k) }

// The overflow keys, coarser and coarser: one local address, none, and at last
// the IP version alone, of which there are two.

func (k *key) overflowByAddress(localSource, localDestination bool) key {
	o := k.overflowByRule()
	switch {
	case localDestination:
		o.destination, o.kind = k.destination, o.kind|hasDestination
	case localSource:
		o.source, o.kind = k.source, o.kind|hasSource
	}
	return o
}

func (k *key) overflowByRule() key {
	return key{prefix: k.prefix, group: k.group, family: k.family, protocol: k.protocol, hook: k.hook, kind: overflow}
}

func (k *key) overflowByFamily() key {
	return key{group: k.group, family: k.family, kind: overflow}
}

func (k *key) sourceAddr() netip.Addr {
	if k.kind&hasSource == 0 {
		return netip.Addr{}
	}
	return decode.Addr(k.family, k.source)
}

func (k *key) destinationAddr() netip.Addr {
	if k.kind&hasDestination == 0 {
		return netip.Addr{}
	}
	return decode.Addr(k.family, k.destination)
}
