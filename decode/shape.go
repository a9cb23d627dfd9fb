package decode

import "encoding/binary"

// shape is what the packets of one flow have in common in their IP header and
// the start of their transport header: of a burst that a flow sends, all but
// the first need only be seen to have the shape of the one before. Packets with
// IP options or extension headers have none.
type shape struct {
	family   Family // 0 for no shape
	hasPorts bool
	tcp      bool
	// words are the first packet's header in little-endian words, of IPv4 three
	// and of IPv6 six. The last holds the start of the transport header, of which
	// last says what is the same.
	words [6]uint64
	last  uint64
}

// What is the same in the words of a header, as little-endian numbers: of IPv4
// (RFC 791, 3.1) version, header length, more-fragments, fragment offset and
// protocol beside the addresses, of IPv6 (RFC 8200, 3) version and next header;
// of the transport header the destination port, or ICMP's type and code.
const (
	ipv4First  = 0xff3f_0000_0000_00ff
	ipv4Second = 0xffff_ffff_0000_ff00
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

// Repeats says whether a packet is of the flow of the packet before, which
// filled drop, and fills in what may differ: Length, SourcePort and TCPFlags.
// It may say no of a packet that is. The packets' prefix and EtherType must be
// the same.
func (d *Decoder) Repeats(payload []byte, drop *Drop) bool {
	s := &d.shape
	switch s.family {
	case IPv4:
		return s.is4(payload) && s.fill(payload, ipv4Header, int(binary.BigEndian.Uint16(payload[2:])), drop)
	case IPv6:
		return s.is6(payload) && s.fill(payload, ipv6Header, ipv6Header+int(binary.BigEndian.Uint16(payload[4:])), drop)
	}
	return false
}

func (s *shape) is4(b []byte) bool {
	if len(b) < ipv4Shape {
		return false
	}
	return (word(b, 0)^s.words[0])&ipv4First|(word(b, 1)^s.words[1])&ipv4Second|(word(b, 2)^s.words[2])&s.last == 0
}

func (s *shape) is6(b []byte) bool {
	if len(b) < ipv6Shape {
		return false
	}
	return (word(b, 0)^s.words[0])&ipv6First|(word(b, 5)^s.words[5])&s.last|
		(word(b, 1)^s.words[1])|(word(b, 2)^s.words[2])|(word(b, 3)^s.words[3])|(word(b, 4)^s.words[4]) == 0
}

func word(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }

// fill fills in what may differ, from a transport header in a packet of a
// total length that its header gives; it says no where that is not plausible.
func (s *shape) fill(payload []byte, transport, total int, drop *Drop) bool {
	if total < transport+minTransport {
		return false
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
	return true
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
