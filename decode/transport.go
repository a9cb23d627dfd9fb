package decode

import (
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// minTransport is how much of a transport header must be there to be decoded: the
// ports, or the ICMP type and code. Of the rest only the TCP flags are used.
const minTransport = 4

const tcpFlags = 13 // their offset in the header (RFC 9293, 3.1)

// transport is what a transport header gives.
type transport struct {
	hasPorts, hasICMP   bool
	source, destination uint16 // ports, valid iff hasPorts
	icmpType, icmpCode  uint8  // valid iff hasICMP
	flags               TCPFlags
}

// transportLayers are gopacket's layers, reused.
//
// Each gets its fixed header only, with zeros in place of what the copy does not have.
// Otherwise gopacket would refuse a cut header although its ports are there, and would
// allocate for the fifth TCP option, which every ordinary SYN has. Any error that is
// left is about a length, which the fixed header has right.
type transportLayers struct {
	tcp    layers.TCP
	udp    layers.UDP
	sctp   layers.SCTP
	icmp   layers.ICMPv4
	icmpv6 layers.ICMPv6
	header [20]byte
}

// decode returns what the header at the start of an IP payload gives, which is nothing
// if the header is missing or of another protocol.
func (t *transportLayers) decode(p *ipPayload) transport {
	if p.later || len(p.data) < minTransport {
		return transport{}
	}
	switch p.protocol {
	case TCP:
		header := t.fill(20, p.data)
		header[12] = 5 << 4 // data offset: no options
		if t.tcp.DecodeFromBytes(header, gopacket.NilDecodeFeedback) == nil {
			decoded := ports(uint16(t.tcp.SrcPort), uint16(t.tcp.DstPort))
			decoded.flags = TCPFlags(header[tcpFlags])
			return decoded
		}
	case UDP:
		header := t.fill(8, p.data)
		header[4], header[5] = 0, 8 // length: no payload
		if t.udp.DecodeFromBytes(header, gopacket.NilDecodeFeedback) == nil {
			return ports(uint16(t.udp.SrcPort), uint16(t.udp.DstPort))
		}
	case SCTP:
		if t.sctp.DecodeFromBytes(t.fill(12, p.data), gopacket.NilDecodeFeedback) == nil {
			return ports(uint16(t.sctp.SrcPort), uint16(t.sctp.DstPort))
		}
	case ICMP:
		if t.icmp.DecodeFromBytes(t.fill(8, p.data), gopacket.NilDecodeFeedback) == nil {
			return icmp(t.icmp.TypeCode.Type(), t.icmp.TypeCode.Code())
		}
	case ICMPv6:
		if t.icmpv6.DecodeFromBytes(t.fill(4, p.data), gopacket.NilDecodeFeedback) == nil {
			return icmp(t.icmpv6.TypeCode.Type(), t.icmpv6.TypeCode.Code())
		}
	}
	return transport{}
}

// fill returns a fixed header with as much of data as fits, and zeros behind.
func (t *transportLayers) fill(size int, data []byte) []byte {
	header := t.header[:size]
	clear(header[copy(header, data):])
	return header
}

func ports(source, destination uint16) transport {
	return transport{hasPorts: true, source: source, destination: destination}
}

func icmp(typ, code uint8) transport {
	return transport{hasICMP: true, icmpType: typ, icmpCode: code}
}
