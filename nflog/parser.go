package nflog

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Parser turns the kernel's datagrams of one group into packets. A Reader has one;
// by itself, a Parser reads datagrams that come from elsewhere. It belongs to one
// goroutine. The zero Parser has seen no packet.
type Parser struct {
	headers headerCache
	seq     sequence
}

// Parse calls handle for each packet of a datagram, in order. It counts the packets,
// the messages that it could not parse, and the packets that are missing by their
// numbers.
func (p *Parser) Parse(datagram []byte, handle func(*Packet)) Count {
	before := p.seq.lost
	packets, malformed := p.walk(datagram, handle)
	return Count{Packets: packets, Malformed: malformed, Lost: p.seq.lost - before}
}

// walk walks the netlink messages of one datagram. A message that it cannot parse
// counts as malformed. If it cannot even find the next message, the rest of the
// datagram counts as one malformed message.
func (p *Parser) walk(b []byte, handle func(*Packet)) (packets, malformed int) {
	for len(b) >= sizeMessageHeader {
		length := int(binary.NativeEndian.Uint32(b))
		if length < sizeMessageHeader || length > len(b) {
			return packets, malformed + 1
		}
		switch binary.NativeEndian.Uint16(b[4:]) {
		case msgPacket:
			packet := p.headers.parse(b[sizeMessageHeader:length])
			if packet == nil {
				malformed++
				break
			}
			if packet.hasSeq {
				p.seq.see(packet.seq)
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

// sequence follows the kernel's numbers of a group's packets. They start at 0 when
// the group is bound and wrap at 32 bits.
type sequence struct {
	next uint32
	lost uint64
	// unsized counts the overruns whose losses no gap in the numbers has shown yet.
	// After an overrun the kernel puts nothing into the socket until it is empty, so
	// the packets that one overrun lost are one gap.
	unsized int
}

// see records a packet's number. A number behind the expected one would count as a
// gap of nearly 2^32. The kernel cannot send one, as it numbers and queues under one
// lock, so it counts as a new start instead.
func (s *sequence) see(n uint32) {
	if gap := n - s.next; gap != 0 && gap < 1<<31 {
		s.lost += uint64(gap)
		s.unsized = max(0, s.unsized-1)
	}
	s.next = n + 1
}

// takeUnsized returns how many overruns are unsized, and forgets them.
func (s *sequence) takeUnsized() (unsized int) {
	unsized, s.unsized = s.unsized, 0
	return unsized
}
