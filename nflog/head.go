package nflog

import (
	"bytes"
	"encoding/binary"
)

// head is what stands before a message's payload. All packets that a rule logs
// on one path have the same but for a timestamp and a number, and they come in
// bursts: to see that a head is known takes a quarter of the time of walking it
// from one attribute to the next, each waiting for the length of the one before.
type head struct {
	raw  [maxHead]byte
	size int // how much of raw is used: where the payload's header is; 0 for no head

	// Where the values are that each message has of its own; size for those
	// that there are not.
	timestamp, seq int
	// The bytes up to first, between middle and second, and from last on are
	// the same in all messages.
	first, middle, second, last int

	// packet is what raw says, completed by each message in turn. Its slices
	// point into raw.
	packet Packet
}

// maxHead is more than the kernel puts before a payload.
const maxHead = 384

// heads remembers the heads that came last, each in one of the two places that
// its prefix and devices choose.
type heads struct {
	last   *head
	all    [256]head
	victim uint8 // which of the two is learned next, 0 or 1
}

// parse returns the packet of a message without its netlink header, nil where
// the message or one of its attributes ends too early. The packet is valid
// until the next call.
func (h *heads) parse(b []byte) *Packet {
	if h.last != nil && h.last.take(b) {
		h.last.packet.Repeats = true
		return &h.last.packet
	}
	place := placeOf(b)
	for i := range uint8(2) {
		if h.last = &h.all[place^i]; h.last.take(b) {
			h.last.packet.Repeats = false
			return &h.last.packet
		}
	}
	h.victim ^= 1
	h.last = &h.all[place^h.victim]
	return h.last.learn(b)
}

// placeOf hashes the end of the second attribute, the first being the packet
// header, and the two that follow: mostly a prefix and the devices.
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

// take completes the packet with what the message has of its own, if the
// message has this head, and behind it a payload and nothing else.
func (h *head) take(b []byte) bool {
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
		p.Seq = binary.BigEndian.Uint32(b[h.seq:])
	}
	return true
}

// agrees compares a few words.
func (h *head) agrees(b []byte, from, to int) bool {
	for at := from; at < to; at += 4 {
		if binary.NativeEndian.Uint32(b[at:]) != binary.NativeEndian.Uint32(h.raw[at:]) {
			return false
		}
	}
	return true
}

// isPayload says whether b is a payload attribute, but for its padding.
func isPayload(b []byte) bool {
	length, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
	return typ&attrTypeMask == attrPayload && length >= sizeAttributeHeader && length <= len(b) && align4(length) >= len(b)
}

// learn walks the message, and remembers its head if it has one.
func (h *head) learn(b []byte) *Packet {
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
	if payload > 0 && payload <= maxHead && isPayload(b[payload:]) {
		h.remember(b, payload)
	}
	return p
}

// remember makes what learn has found out the head of the messages to come.
func (h *head) remember(b []byte, size int) {
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
	h.packet.Prefix, h.packet.LinkHeader = h.own(b, h.packet.Prefix), h.own(b, h.packet.LinkHeader)
}

// own returns the part of raw that is a copy of v, which is a part of b.
func (h *head) own(b, v []byte) []byte {
	if v == nil {
		return nil
	}
	at := cap(b) - cap(v)
	return h.raw[at : at+len(v)]
}
