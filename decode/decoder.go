package decode

import "encoding/binary"

// Result says what became of a packet.
type Result uint8

// What becomes of a packet.
const (
	// Decoded: the Drop is filled.
	Decoded Result = iota
	// Ignored: the prefix filter does not want it.
	Ignored
	// NotIP: the payload is of another protocol than IPv4 and IPv6, such as ARP.
	NotIP
	// Truncated: the copy ends before the IP addresses do.
	Truncated
	// Malformed: the IP header contradicts itself.
	Malformed
)

// String returns the result as a metric label has it.
func (r Result) String() string {
	return [...]string{"decoded", "ignored", "not_ip", "truncated", "malformed"}[r]
}

// EtherTypes (IEEE 802 numbers) that Decode understands.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// Decoder decodes packets one after the other into layers that it reuses.
//
// It calls gopacket's layers itself, in order, instead of having a
// DecodingLayerParser do so: that costs a third of a packet's decoding, and
// would follow an inner IP header and lose the outer one's addresses.
type Decoder struct {
	prefixes *prefixes
	upper    upper
	layers   transports

	// Of the packet that Decode was given last.
	text      string
	wanted    bool
	etherType uint16

	// What the last transport header said, which the next mostly repeats, with
	// its protocol and first bytes.
	said    said
	firstOf Protocol
	first   uint32

	shape shape // of the last packet
}

// NewDecoder returns a Decoder that ignores packets whose NFLOG prefix does
// not start with one of wanted; nil wants all.
func NewDecoder(wanted []string) *Decoder { return &Decoder{prefixes: newPrefixes(wanted)} }

// Ignore has packets ignored as well if ignore says so of their prefix, which
// may hold any bytes. It is asked once about each, as long as a node's rules
// have a sane number of them. To be called before the first Decode.
func (d *Decoder) Ignore(ignore func(prefix string) bool) {
	d.prefixes.ignore = ignore
	d.prefixes.last = d.prefixes.judge("")
}

// Decode fills everything of drop that the packet's own bytes and its rule's
// prefix tell; the rest of drop is left as it is. etherType is the payload's
// protocol, 0 where it is not known. Unless the result is Decoded, drop is
// only partly set.
func (d *Decoder) Decode(payload, prefix []byte, etherType uint16, drop *Drop) Result {
	d.text, d.wanted = d.prefixes.intern(prefix)
	d.etherType = etherType
	return d.Again(payload, drop)
}

// Again is Decode for a packet with the prefix and the EtherType of the last
// one that Decode was given.
func (d *Decoder) Again(payload []byte, drop *Drop) Result {
	d.shape.family = 0
	if !d.wanted {
		return Ignored
	}
	drop.Prefix = d.text
	var result Result
	switch drop.Family = ipVersion(payload, d.etherType); drop.Family {
	case IPv4:
		result = d.upper.decode4(payload, drop)
	case IPv6:
		result = d.upper.decode6(payload, drop)
	default:
		return NotIP
	}
	if result != Decoded {
		return result
	}
	drop.Protocol, drop.Fragment = d.upper.protocol, d.upper.fragment
	d.transport(drop)
	d.shape.remember(payload, drop)
	return Decoded
}

func ipVersion(payload []byte, etherType uint16) Family {
	switch {
	case etherType == etherIPv4:
		return IPv4
	case etherType == etherIPv6:
		return IPv6
	case etherType == 0 && len(payload) > 0:
		return Family(payload[0] >> 4)
	}
	return 0
}

// transport fills in what stands behind the IP header, as far as it was copied.
func (d *Decoder) transport(drop *Drop) {
	u := &d.upper
	if u.later || len(u.data) < minTransport {
		drop.set(said{})
		drop.TCPFlags = 0
		return
	}
	if first := binary.NativeEndian.Uint32(u.data); first != d.first || u.protocol != d.firstOf {
		d.first, d.firstOf, d.said = first, u.protocol, d.layers.decode(u.protocol, u.data)
	}
	drop.set(d.said)
	drop.TCPFlags = 0
	if u.protocol == TCP && len(u.data) > tcpFlags {
		drop.TCPFlags = TCPFlags(u.data[tcpFlags])
	}
}

func (d *Drop) set(s said) {
	d.HasPorts, d.SourcePort, d.DestinationPort = s.hasPorts, s.source, s.destination
	d.HasICMP, d.ICMPType, d.ICMPCode = s.hasICMP, s.typ, s.code
}
