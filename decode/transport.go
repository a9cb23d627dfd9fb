package decode

import (
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// The transport layers are gopacket's, each shown no more than its fixed
// header, filled up with zeros where the copy ends inside it: gopacket would
// refuse such a header although the ports are there, and allocates for the
// fifth TCP option, which every ordinary SYN has. Their errors are lengths that
// cannot be wrong then.

// minTransport is how much of a header must be there to be decoded: the ports,
// or the ICMP type and code. Nothing behind it matters but the TCP flags.
const minTransport = 4

const tcpFlags = 13 // where they are in the header (RFC 9293, 3.1)

// said is what a transport header tells of itself in its first bytes.
type said struct {
	hasPorts, hasICMP   bool
	source, destination uint16 // ports, valid iff hasPorts
	typ, code           uint8  // ICMP's, valid iff hasICMP
}

// transports are the layers, reused.
type transports struct {
	tcp    layers.TCP
	udp    layers.UDP
	sctp   layers.SCTP
	icmp   layers.ICMPv4
	icmpv6 layers.ICMPv6
	header [20]byte
}

// decode returns what the header at the start of data says; nothing if it is of
// another protocol.
func (t *transports) decode(p Protocol, data []byte) said {
	switch p {
	case TCP:
		header := t.fill(20, data)
		header[12] = 5 << 4 // data offset: no options
		if t.tcp.DecodeFromBytes(header, gopacket.NilDecodeFeedback) == nil {
			return ports(uint16(t.tcp.SrcPort), uint16(t.tcp.DstPort))
		}
	case UDP:
		header := t.fill(8, data)
		header[4], header[5] = 0, 8 // length: no payload
		if t.udp.DecodeFromBytes(header, gopacket.NilDecodeFeedback) == nil {
			return ports(uint16(t.udp.SrcPort), uint16(t.udp.DstPort))
		}
	case SCTP:
		if t.sctp.DecodeFromBytes(t.fill(12, data), gopacket.NilDecodeFeedback) == nil {
			return ports(uint16(t.sctp.SrcPort), uint16(t.sctp.DstPort))
		}
	case ICMP:
		if t.icmp.DecodeFromBytes(t.fill(8, data), gopacket.NilDecodeFeedback) == nil {
			return said{hasICMP: true, typ: t.icmp.TypeCode.Type(), code: t.icmp.TypeCode.Code()}
		}
	case ICMPv6:
		if t.icmpv6.DecodeFromBytes(t.fill(4, data), gopacket.NilDecodeFeedback) == nil {
			return said{hasICMP: true, typ: t.icmpv6.TypeCode.Type(), code: t.icmpv6.TypeCode.Code()}
		}
	}
	return said{}
}

// fill returns as much of data as a fixed header takes, or zeros for what is
// not there.
func (t *transports) fill(size int, data []byte) []byte {
	header := t.header[:size]
	clear(header[copy(header, data):])
	return header
}

func ports(source, destination uint16) said {
	return said{hasPorts: true, source: source, destination: destination}
}
