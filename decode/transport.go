package decode

import (
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// The transport layers are gopacket's, each shown no more than its fixed
// header, filled up with zeros where the copy ends inside it: gopacket would
// refuse such a header although the ports are there, and allocates for the
// fifth TCP option, which every ordinary SYN has. With nothing behind that
// header, decoding ends there: what a packet carries is not looked at.

// minTransport is how much of a header must be there to be decoded: the ports,
// or the ICMP type and code.
const minTransport = 4

// nextLayer is the layer that decodes a protocol's header, zero for those that
// are not looked into. An inner IP header is not: it would overwrite the outer
// one, which has the addresses of the pods.
func nextLayer(p Protocol, header []byte) gopacket.LayerType {
	if len(header) < minTransport {
		return gopacket.LayerTypeZero
	}
	switch p {
	case TCP:
		return layers.LayerTypeTCP
	case UDP:
		return layers.LayerTypeUDP
	case SCTP:
		return layers.LayerTypeSCTP
	case ICMP:
		return layers.LayerTypeICMPv4
	case ICMPv6:
		return layers.LayerTypeICMPv6
	}
	return gopacket.LayerTypeZero
}

type tcp struct {
	layers.TCP

	header [20]byte
}

func (l *tcp) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	fill(l.header[:], data)
	l.header[12] = 5 << 4 // data offset: no options
	return l.TCP.DecodeFromBytes(l.header[:], df)
}

func (l *tcp) flags() TCPFlags { return TCPFlags(l.header[13]) }

type udp struct {
	layers.UDP

	header [8]byte
}

func (l *udp) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	fill(l.header[:], data)
	l.header[4], l.header[5] = 0, 8 // length: no payload
	return l.UDP.DecodeFromBytes(l.header[:], df)
}

type sctp struct {
	layers.SCTP

	header [12]byte
}

func (l *sctp) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	fill(l.header[:], data)
	return l.SCTP.DecodeFromBytes(l.header[:], df)
}

type icmp4 struct {
	layers.ICMPv4

	header [8]byte
}

func (l *icmp4) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	fill(l.header[:], data)
	return l.ICMPv4.DecodeFromBytes(l.header[:], df)
}

type icmp6 struct {
	layers.ICMPv6

	header [4]byte
}

func (l *icmp6) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	fill(l.header[:], data)
	return l.ICMPv6.DecodeFromBytes(l.header[:], df)
}

func fill(header, data []byte) {
	clear(header[copy(header, data):])
}
