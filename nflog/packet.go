package nflog

import (
	"encoding/binary"
	"math"
)

// Packet is one NFLOG message. It and what its slices point to belong to the
// Reader: the callback must not change them, nor keep them after it returns.
type Packet struct {
	// Payload is the packet from its network header on, cut to the copy range or
	// the rule's --nflog-size, whichever is smaller. See Network for the exception.
	Payload []byte
	// Prefix is the rule's prefix as the rule has it, without the final NUL.
	Prefix []byte
	// Time is the kernel's timestamp in nanoseconds since 1970; 0 where the kernel
	// gave none, as at the OUTPUT hook.
	Time int64
	// In and Out are interface indexes; 0 where the packet has none.
	In, Out uint32
	// EtherType is the payload's protocol, 0x0800 for IPv4.
	EtherType uint16
	// Family is the family of the table that logged the packet: AF_INET, AF_INET6,
	// AF_BRIDGE, NFPROTO_NETDEV and so on.
	Family uint8
	// Hook is the hook's number in that family.
	Hook uint8

	seq    uint32 // the kernel's number of this packet in its group, valid iff hasSeq
	hasSeq bool
}

// attributeAt returns the attribute that begins at an offset, and the offset of the
// next one. It reports in ok whether the attribute fits.
func attributeAt(b []byte, at int) (typ uint16, value []byte, next int, ok bool) {
	b = b[at:]
	if len(b) < sizeAttributeHeader {
		return 0, nil, 0, false
	}
	length := int(binary.NativeEndian.Uint16(b))
	if length < sizeAttributeHeader || length > len(b) {
		return 0, nil, 0, false
	}
	typ = binary.NativeEndian.Uint16(b[2:]) & attrTypeMask
	return typ, b[sizeAttributeHeader:length], at + min(align4(length), len(b)), true
}

// set sets the field that an attribute is for. It reports whether the value is long
// enough for its type. Attributes without a field are passed over.
func (p *Packet) set(attr uint16, v []byte) bool {
	switch attr {
	case attrPayload:
		p.Payload = v
	case attrPrefix:
		p.Prefix = trimNUL(v)
	case attrPacketHeader:
		return p.setHeader(v)
	case attrTimestamp:
		return p.setTime(v)
	case attrIn:
		return setUint32(&p.In, v)
	case attrOut:
		return setUint32(&p.Out, v)
	case attrSeq:
		p.hasSeq = true
		return setUint32(&p.seq, v)
	}
	return true
}

// setHeader reads struct nfulnl_msg_packet_hdr.
func (p *Packet) setHeader(v []byte) bool {
	if len(v) < 3 {
		return false
	}
	p.EtherType = binary.BigEndian.Uint16(v)
	p.Hook = v[2]
	return true
}

const (
	nanoseconds = 1_000_000_000
	sizeTime    = 16 // of struct nfulnl_msg_packet_timestamp
)

// setTime reads struct nfulnl_msg_packet_timestamp: seconds and microseconds. A time
// that nanoseconds cannot hold counts as none.
func (p *Packet) setTime(v []byte) bool {
	if len(v) < sizeTime {
		return false
	}
	p.Time = 0
	sec, usec := binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	if sec < math.MaxInt64/nanoseconds && usec < 1e6 {
		p.Time = int64(sec)*nanoseconds + int64(usec)*1e3
	}
	return true
}

func setUint32(to *uint32, v []byte) bool {
	if len(v) < 4 {
		return false
	}
	*to = binary.BigEndian.Uint32(v)
	return true
}

func trimNUL(v []byte) []byte {
	if n := len(v); n > 0 && v[n-1] == 0 {
		return v[:n-1]
	}
	return v
}

// align4 rounds up to a multiple of 4, as netlink aligns attributes and messages.
func align4(n int) int { return (n + 3) &^ 3 }
