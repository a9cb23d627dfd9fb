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
// or the ICMP type and code.
const minTransport = 4

type tcp struct {
	layers.TCP

	header [20]byte
}

func (l *tcp) decode(data []byte) bool {
	fill(l.header[:], data)
	l.header[12] = 5 << 4 // data offset: no options
	return l.DecodeFromBytes(l.header[:], gopacket.NilDecodeFeedback) == nil
}

func (l *tcp) flags() TCPFlags { return TCPFlags(l.header[13]) }

type udp struct {
	layers.UDP

	header [8]byte
}

func (l *udp) decode(data []byte) bool {
	fill(l.header[:], data)
	l.header[4], l.header[5] = 0, 8 // length: no payload
	return l.DecodeFromBytes(l.header[:], gopacket.NilDecodeFeedback) == nil
}

type sctp struct {
	layers.SCTP

	header [12]byte
}

func (l *sctp) decode(data []byte) bool {
	fill(l.header[:], data)
	return l.DecodeFromBytes(l.header[:], gopacket.NilDecodeFeedback) == nil
}

type icmp4 struct {
	layers.ICMPv4

	header [8]byte
}

func (l *icmp4) decode(data []byte) bool {
	fill(l.header[:], data)
	return l.DecodeFromBytes(l.header[:], gopacket.NilDecodeFeedback) == nil
}

type icmp6 struct {
	layers.ICMPv6

	header [4]byte
}

func (l *icmp6) decode(data []byte) bool {
	fill(l.header[:], data)
	return l.DecodeFromBytes(l.header[:], gopacket.NilDecodeFeedback) == nil
}

func fill(header, data []byte) {
	clear(header[copy(header, data):])
}
