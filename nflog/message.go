package nflog

import (
	"encoding/binary"
	"math"
)

// Packet is one NFLOG message. It is the Reader's own, as what its slices point
// to: not to be changed, and valid until the callback that got it returns.
type Packet struct {
	// Payload is the packet from its network header on, cut to the smallest of
	// the copy range and the rule's --nflog-size.
	Payload []byte
	// Prefix is the rule's prefix as the rule gave it, without the final NUL.
	Prefix []byte
	// LinkHeader is the link-layer header, where the kernel still had one.
	LinkHeader []byte
	// Time is the kernel's timestamp in nanoseconds since 1970; 0 where it
	// gave none, as from the OUTPUT hook.
	Time int64
	// In, Out are interface indexes, PhysIn and PhysOut those of the bridge
	// ports beneath; 0 where the packet has none.
	In, Out, PhysIn, PhysOut uint32
	// Mark is the packet's netfilter mark; 0 where it has none.
	Mark uint32
	// UID and GID are the sending socket's owner; valid iff HasOwner.
	UID, GID uint32
	// Seq is the kernel's number of this packet in its group, valid iff HasSeq.
	Seq uint32
	// EtherType is the payload's protocol, 0x0800 for IPv4.
	EtherType uint16
	// Family is the table family that logged it: AF_INET, AF_INET6, AF_BRIDGE …
	Family   uint8
	Hook     uint8
	HasOwner bool
	HasSeq   bool
	// Repeats says that all but Payload, Time and Seq is as in the Reader's
	// packet before this one.
	Repeats bool
}

// attributeAt returns the attribute that begins at an offset, and where the
// next one does; ok is false where it does not fit.
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

// set takes one attribute in. It reports false where the value is too short
// for its type; attributes that nobody asked for are passed over.
func (p *Packet) set(attr uint16, v []byte) bool {
	switch attr {
	case attrPayload:
		p.Payload = v
	case attrPrefix:
		p.Prefix = trimNUL(v)
	case attrLinkHeader:
		p.LinkHeader = v
	case attrPacketHeader:
		return p.setHeader(v)
	case attrTimestamp:
		return p.setTime(v)
	case attrMark:
		return setUint32(&p.Mark, v)
	case attrIn:
		return setUint32(&p.In, v)
	case attrOut:
		return setUint32(&p.Out, v)
	case attrPhysIn:
		return setUint32(&p.PhysIn, v)
	case attrPhysOut:
		return setUint32(&p.PhysOut, v)
	case attrSeq:
		p.HasSeq = true
		return setUint32(&p.Seq, v)
	case attrUID:
		p.HasOwner = true
		return setUint32(&p.UID, v)
	case attrGID:
		return setUint32(&p.GID, v)
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

// setTime reads struct nfulnl_msg_packet_timestamp: seconds and microseconds.
// A time beyond what nanoseconds can hold is none.
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

func align4(n int) int { return (n + 3) &^ 3 }
