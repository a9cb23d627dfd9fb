package nflog

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Parser turns the kernel's datagrams of one group into packets. A Reader has
// one; by itself it reads datagrams that come from elsewhere. It belongs to one
// goroutine. The zero Parser has seen no packet.
type Parser struct {
	heads heads
	seq   sequence
}

// Parse calls handle for each packet of a datagram, in order, and counts packets,
// what could not be walked, and what is missing before them by their numbers.
func (p *Parser) Parse(datagram []byte, handle func(*Packet)) Count {
	before := p.seq.lost
	packets, malformed := p.walk(datagram, handle)
	return Count{Packets: packets, Malformed: malformed, Lost: p.seq.lost - before}
}

// walk walks the netlink messages of one datagram and calls handle for each
// packet. What it cannot walk it counts as malformed, once a message; where not
// even the next message can be found, the rest of the datagram is one malformed
// message.
func (p *Parser) walk(b []byte, handle func(*Packet)) (packets, malformed int) {
	for len(b) >= sizeMessageHeader {
		length := int(binary.NativeEndian.Uint32(b))
		if length < sizeMessageHeader || length > len(b) {
			return packets, malformed + 1
		}
		switch binary.NativeEndian.Uint16(b[4:]) {
		case msgPacket:
			packet := p.heads.parse(b[sizeMessageHeader:length])
			if packet == nil {
				malformed++
				break
			}
			if packet.HasSeq {
				p.seq.see(packet.Seq)
			}
			handle(packet)
			packets++
		case unix.NLMSG_DONE:
			return packets, malformed
		}
		b = b[min(align4(length), len(b)):]
	}
	if len(b) > 0 {
		malformed++
	}
	return packets, malformed
}
