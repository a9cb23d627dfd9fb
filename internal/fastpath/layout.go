package fastpath

import (
	"encoding/binary"

	"github.com/kube-nflog/kube-nflog/decode"
)

// layout is where the fields of a decoded packet are. It reads other packets that have
// the same fields in the same places. Only packets with ports or an ICMP type and code
// right behind a plain IP header have a layout.
type layout struct {
	family   decode.Family // 0 for no layout
	hasPorts bool
	isTCP    bool
	// first and second are the IP header's first words, in little-endian order. Packets
	// that agree with them in the bits below have the same layout.
	first, second uint64
}

// The bits of an IP header that decide where the other fields are. Of IPv4 (RFC 791, 3.1)
// these are version, header length, more-fragments and fragment offset in the first word,
// and the protocol in the second. Of IPv6 (RFC 8200, 3) they are version and next header.
const (
	ipv4First  = 0xff3f_0000_0000_00ff
	ipv4Second = 0x0000_0000_0000_ff00
	ipv6First  = 0x00ff_0000_0000_00f0
)

// Sizes of headers, and of what is read of a transport header at least: ports, or ICMP
// type and code.
const (
	ipv4Header   = 20
	ipv6Header   = 40
	minTransport = 4
	tcpFlags     = 13 // their offset in a TCP header (RFC 9293, 3.1)
)

// layoutOf returns the layout of a packet that was decoded to d.
func layoutOf(payload []byte, d *decode.Drop) layout {
	l := layout{family: d.Family, hasPorts: d.HasPorts, isTCP: d.Protocol == decode.TCP}
	switch {
	case !d.HasPorts && !d.HasICMP:
		return layout{}
	case d.Family == decode.IPv4 && payload[0]&0x0f == ipv4Header/4: // no options
	case d.Family == decode.IPv6 && decode.Protocol(payload[6]) == d.Protocol: // no extension headers
	default:
		return layout{}
	}
	l.first, l.second = word(payload, 0), word(payload, 1)
	return l
}

// read reports whether a packet has this layout. If so, it sets the fields of d that the
// layout does not decide. All other fields are those of the packet before, which had this
// layout.
func (l *layout) read(payload []byte, d *decode.Drop) bool {
	switch l.family {
	case decode.IPv4:
		return l.read4(payload, d)
	case decode.IPv6:
		return l.read6(payload, d)
	}
	return false
}

func (l *layout) read4(payload []byte, d *decode.Drop) bool {
	if len(payload) < ipv4Header+minTransport ||
		(word(payload, 0)^l.first)&ipv4First|(word(payload, 1)^l.second)&ipv4Second != 0 {
		return false
	}
	total := int(binary.BigEndian.Uint16(payload[2:]))
	if total < ipv4Header+minTransport {
		return false
	}
	d.Length = uint32(total)
	// The first halves of IPv4-mapped addresses are all the same.
	binary.BigEndian.PutUint64(d.Source[8:], 0xffff<<32|uint64(binary.BigEndian.Uint32(payload[12:])))
	binary.BigEndian.PutUint64(d.Destination[8:], 0xffff<<32|uint64(binary.BigEndian.Uint32(payload[16:])))
	l.readTransport(payload[ipv4Header:min(total, len(payload))], d)
	return true
}

func (l *layout) read6(payload []byte, d *decode.Drop) bool {
	if len(payload) < ipv6Header+minTransport || (word(payload, 0)^l.first)&ipv6First != 0 {
		return false
	}
	total := ipv6Header + int(binary.BigEndian.Uint16(payload[4:]))
	if total < ipv6Header+minTransport {
		return false
	}
	d.Length = uint32(total)
	d.Source, d.Destination = [16]byte(payload[8:24]), [16]byte(payload[24:40])
	l.readTransport(payload[ipv6Header:min(total, len(payload))], d)
	return true
}

func (l *layout) readTransport(b []byte, d *decode.Drop) {
	if !l.hasPorts {
		d.ICMPType, d.ICMPCode = b[0], b[1]
		return
	}
	d.SourcePort, d.DestinationPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	if l.isTCP {
		d.TCPFlags = 0
		if len(b) > tcpFlags {
			d.TCPFlags = decode.TCPFlags(b[tcpFlags])
		}
	}
}

func word(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
