package nflog

import (
	"bytes"
	"encoding/binary"
)

// headerCache parses messages. It remembers the headers of messages it has seen.
//
// A message's header is all that stands before its payload. Packets that one rule
// logs on one path have equal headers, except for a timestamp and a number, and
// come in bursts. To compare a message with a known header takes a quarter of the
// time of walking from attribute to attribute, where each step waits for the length
// that the one before has loaded. docs/design/fast-path.md has the figures.
type headerCache struct {
	last   *header // of the last message
	all    [256]header
	victim uint8 // which of a header's two places is overwritten next, 0 or 1
}

// header is a known header and the packet that it stands for.
type header struct {
	raw  [maxHeader]byte
	size int // how much of raw is used, which is where the payload attribute begins; 0 for none

	// Where the values are that differ between messages; size where there are none.
	timestamp, seq int
	// All messages agree in the bytes up to first, between middle and second, and
	// from last on.
	first, middle, second, last int

	// packet is what raw stands for. Each message fills in its own values. Prefix
	// points into raw.
	packet Packet
}

// maxHeader is more than what the kernel puts before a payload. A message with a
// longer header is walked.
const maxHeader = 384

// parse returns the packet of a message, which comes without its netlink header. It
// returns nil if the message or one of its attributes ends too early. The packet is
// valid until the next call.
func (c *headerCache) parse(b []byte) *Packet {
	if c.last != nil && c.last.complete(b) {
		return &c.last.packet
	}
	// A header has two places, so that two headers with one hash do not displace
	// each other for ever.
	place := placeOf(b)
	for i := range uint8(2) {
		if c.last = &c.all[place^i]; c.last.complete(b) {
			return &c.last.packet
		}
	}
	c.victim ^= 1
	c.last = &c.all[place^c.victim]
	return c.last.learn(b)
}

// placeOf hashes what tells headers apart: the end of the second attribute and the
// two that follow. The first is the packet header; these are mostly a prefix and the
// devices.
func placeOf(b []byte) uint8 {
	const second = sizeGroupHeader + sizeAttributeHeader + 4
	if len(b) < second+sizeAttributeHeader {
		return 0
	}
	third := second + max(sizeAttributeHeader, align4(int(binary.NativeEndian.Uint16(b[second:]))))
	if len(b) < third+16 {
		return 0
	}
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(b[at:]) }
	h := (word(third-8)^uint64(third))*0x9e3779b97f4a7c15 + word(third)*0xbf58476d1ce4e5b9 + word(third+8)*0x94d049bb133111eb
	return uint8(h >> 56)
}

// complete fills in the packet's own values from a message, if the message has this
// header, followed by a payload and nothing else. It reports whether it has.
func (h *header) complete(b []byte) bool {
	if h.size == 0 || len(b) < h.size+sizeAttributeHeader || !bytes.Equal(b[:h.first], h.raw[:h.first]) ||
		!h.agrees(b, h.middle, h.second) || !h.agrees(b, h.last, h.size) {
		return false
	}
	payload := b[h.size:]
	if !isPayload(payload) {
		return false
	}
	p := &h.packet
	p.Payload = payload[sizeAttributeHeader:binary.NativeEndian.Uint16(payload)]
	if h.timestamp < h.size {
		p.setTime(b[h.timestamp:])
	}
	if h.seq < h.size {
		p.seq = binary.BigEndian.Uint32(b[h.seq:])
	}
	return true
}

// agrees compares a few words. A call of bytes.Equal costs more than these do.
func (h *header) agrees(b []byte, from, to int) bool {
	for at := from; at < to; at += 4 {
		if binary.NativeEndian.Uint32(b[at:]) != binary.NativeEndian.Uint32(h.raw[at:]) {
			return false
		}
	}
	return true
}

// isPayload reports whether b is one payload attribute with at most its padding
// behind it.
func isPayload(b []byte) bool {
	length, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
	return typ&attrTypeMask == attrPayload && length >= sizeAttributeHeader && length <= len(b) && align4(length) >= len(b)
}

// learn walks the message's attributes, and remembers its header if that can be
// reused.
func (h *header) learn(b []byte) *Packet {
	p := &h.packet
	*p = Packet{}
	h.size, h.timestamp, h.seq = 0, 0, 0
	if len(b) < sizeGroupHeader {
		return nil
	}
	p.Family = b[0]
	payload := 0
	for at := sizeGroupHeader; at < len(b); {
		typ, value, next, ok := attributeAt(b, at)
		if !ok || !p.set(typ, value) {
			return nil
		}
		switch typ {
		case attrTimestamp:
			h.timestamp = at + sizeAttributeHeader
		case attrSeq:
			h.seq = at + sizeAttributeHeader
		case attrPayload:
			payload = at
		}
		at = next
	}
	if payload > 0 && payload <= maxHeader && isPayload(b[payload:]) {
		h.remember(b, payload)
	}
	return p
}

// remember keeps the message's header, which learn has walked.
func (h *header) remember(b []byte, size int) {
	copy(h.raw[:], b[:size])
	h.size = size
	timestampEnd, seqEnd := h.timestamp+sizeTime, h.seq+4
	if h.timestamp == 0 {
		h.timestamp, timestampEnd = size, size
	}
	if h.seq == 0 {
		h.seq, seqEnd = size, size
	}
	h.first, h.second = min(h.timestamp, h.seq), max(h.timestamp, h.seq)
	h.middle, h.last = min(timestampEnd, seqEnd), max(timestampEnd, seqEnd)
	if prefix := h.packet.Prefix; prefix != nil { // a part of b, which the next datagram overwrites
		at := cap(b) - cap(prefix)
		h.packet.Prefix = h.raw[at : at+len(prefix)]
	}
}
