package decode

import "encoding/binary"

// Likeness is what a packet has in common with the one before.
type Likeness uint8

// How like packets may be.
const (
	// Unlike: the packet has to be decoded; it may still be like the other.
	Unlike Likeness = iota
	// Alike: they have the same headers up to the ports, or ICMP type and code.
	Alike
	// SameFlow: they have the same addresses as well, and the same destination
	// port, or ICMP type and code.
	SameFlow
)

// shape is what most packets in a row have in common in their IP header and the
// start of their transport header, so that all but the first need only be seen
// to have the shape of the one before: those of a flow all but what changes from
// packet to packet, others all but addresses and ports. Packets with IP options
// or extension headers have none.
type shape struct {
	family   Family // 0 for no shape
	hasPorts bool
	tcp      bool
	// words are the last packet's header in little-endian words, of IPv4 three
	// and of IPv6 six. The last holds the start of the transport header, of which
	// last says what is the same within a flow.
	words [6]uint64
	last  uint64
}

// What is the same in the words of a header, as little-endian numbers: of IPv4
// (RFC 791, 3.1) version, header length, more-fragments, fragment offset and
// protocol, of IPv6 (RFC 8200, 3) version and next header; within a flow the
// addresses, and of the transport header the destination port, or ICMP's type
// and code.
const (
	ipv4First  = 0xff3f_0000_0000_00ff
	ipv4Second = 0x0000_0000_0000_ff00
	ipv4Source = 0xffff_ffff_0000_0000
	ipv4Ports  = 0xffff_0000_ffff_ffff
	ipv4ICMP   = 0x0000_ffff_ffff_ffff

	ipv6First = 0x00ff_0000_0000_00f0
	ipv6Ports = 0x0000_0000_ffff_0000
	ipv6ICMP  = 0x0000_0000_0000_ffff
)

// What a packet must have at least to have a shape.
const (
	ipv4Shape = 3 * 8
	ipv6Shape = 6 * 8
)

// Like says what a packet has in common with the one before, which filled drop,
// and unless that is nothing fills in what may differ. The packets' prefix and
// EtherType must be the same.
func (d *Decoder) Like(payload []byte, drop *Drop) Likeness {
	s := &d.shape
	switch {
	case s.family == IPv6 && len(payload) >= ipv6Shape:
		return s.like6(payload, drop)
	case s.family != IPv4 || len(payload) < ipv4Shape:
		return Unlike
	}
	// IPv4, here: a call would cost as much as the rest.
	w1, w2 := word(payload, 1), word(payload, 2)
	other := (word(payload, 0)^s.words[0])&ipv4First | (w1^s.words[1])&ipv4Second
	if other|(w1^s.words[1])&ipv4Source|(w2^s.words[2])&s.last == 0 {
		return s.fill(payload, ipv4Header, int(binary.BigEndian.Uint16(payload[2:])), drop, SameFlow)
	}
	if other != 0 || s.fill(payload, ipv4Header, int(binary.BigEndian.Uint16(payload[2:])), drop, Alike) != Alike {
		return Unlike
	}
	s.words[1], s.words[2] = w1, w2
	putMapped(&drop.Source, payload[12:])
	putMapped(&drop.Destination, payload[16:])
	s.fillLast(payload[ipv4Header:], drop)
	return Alike
}

func (s *shape) like6(b []byte, drop *Drop) Likeness {
	if (word(b, 0)^s.words[0])&ipv6First != 0 ||
		s.fill(b, ipv6Header, ipv6Header+int(binary.BigEndian.Uint16(b[4:])), drop, Alike) != Alike {
		return Unlike
	}
	w1, w2, w3, w4, w5 := word(b, 1), word(b, 2), word(b, 3), word(b, 4), word(b, 5)
	if (w1^s.words[1])|(w2^s.words[2])|(w3^s.words[3])|(w4^s.words[4])|(w5^s.words[5])&s.last == 0 {
		return SameFlow
	}
	s.words[1], s.words[2], s.words[3], s.words[4], s.words[5] = w1, w2, w3, w4, w5
	drop.Source, drop.Destination = [16]byte(b[8:24]), [16]byte(b[24:40])
	s.fillLast(b[ipv6Header:], drop)
	return Alike
}

func word(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }

// fill fills in what may differ between a flow's packets, from a transport header
// in a packet of a total length that its header gives. It returns the likeness
// if that is plausible.
func (s *shape) fill(payload []byte, transport, total int, drop *Drop, like Likeness) Likeness {
	if total < transport+minTransport {
		return Unlike
	}
	drop.Length = uint32(total)
	if s.hasPorts {
		drop.SourcePort = binary.BigEndian.Uint16(payload[transport:])
	}
	if s.tcp {
		drop.TCPFlags = 0
		if at := transport + tcpFlags; at < min(total, len(payload)) {
			drop.TCPFlags = TCPFlags(payload[at])
		}
	}
	return like
}

// fillLast fills in what of a transport header tells flows apart.
func (s *shape) fillLast(transport []byte, drop *Drop) {
	if s.hasPorts {
		drop.DestinationPort = binary.BigEndian.Uint16(transport[2:])
	} else {
		drop.ICMPType, drop.ICMPCode = transport[0], transport[1]
	}
}

// remember takes the shape of a packet, if it has one, and of the drop that it
// was decoded to.
func (s *shape) remember(payload []byte, drop *Drop) {
	switch {
	case !drop.HasPorts && !drop.HasICMP:
		return
	case drop.Family == IPv4 && payload[0]&0x0f == ipv4Header/4 && len(payload) >= ipv4Shape:
		s.words[0], s.words[1], s.words[2] = word(payload, 0), word(payload, 1), word(payload, 2)
		s.last = ipv4ICMP
		if drop.HasPorts {
			s.last = ipv4Ports
		}
	case drop.Family == IPv6 && Protocol(payload[6]) == drop.Protocol && len(payload) >= ipv6Shape:
		for i := range s.words {
			s.words[i] = word(payload, i)
		}
		s.last = ipv6ICMP
		if drop.HasPorts {
			s.last = ipv6Ports
		}
	default:
		return
	}
	s.family, s.hasPorts, s.tcp = drop.Family, drop.HasPorts, drop.Protocol == TCP
}
