package nflog

import "encoding/binary"

// layout is the form of a message: which attributes it has, and how long each
// is. All packets that a rule logs on one path have the same but for their
// payloads, which come last. Knowing it, a message need not be walked from one
// attribute to the next, each waiting for the length of the one before: it is
// enough to see that all headers are where they are expected, which takes a
// quarter of the time.
type layout struct {
	expected [maxHeaders]expectation
	count    int // how many of them are used

	payload int // where the payload's header is; 0 for no layout

	// Where values are that a Packet takes; 0 for those that there are not.
	packetHeader, timestamp, seq, in, out, physIn, physOut, mark, uid, gid int
	prefix, prefixEnd, linkHeader, linkHeaderEnd                           int
}

// expectation is an attribute's header, length and type, and where it stands.
type expectation struct{ offset, header uint32 }

// maxHeaders is more than the kernel puts before a payload.
const maxHeaders = 24

// layouts remembers forms of messages, in pairs that are found by what mostly
// tells forms apart: the hook and the length of the rule's prefix. More than
// two forms in turn that share both are walked as if none were known.
type layouts [64]layout

// parse is Packet.parse, by a known layout if there is one that matches.
func (l *layouts) parse(p *Packet, b []byte) bool {
	at := pairOf(b)
	if l[at].parse(p, b) || l[at+1].parse(p, b) {
		return true
	}
	if !p.parse(b) {
		return false
	}
	if learned, ok := learn(b); ok {
		l[at], l[at+1] = learned, l[at]
	}
	return true
}

// pairOf returns the first of the two places for a message's layout. Behind
// the group header and that of the first attribute, which is the packet
// header, is the hook, two bytes in; then comes the next attribute's header,
// the prefix's if there is one.
func pairOf(b []byte) int {
	const hook = sizeGroupHeader + sizeAttributeHeader + 2
	if len(b) < hook+6 {
		return 0
	}
	h := binary.NativeEndian.Uint32(b[hook+2:]) ^ uint32(b[hook])<<8
	return int(h*0x9e3779b1>>27) * 2 // Fibonacci hashing to 32 pairs
}

// parse fills the packet if the message has this layout.
func (l *layout) parse(p *Packet, b []byte) bool {
	if l.payload == 0 || len(b) < l.payload+sizeAttributeHeader {
		return false
	}
	for _, e := range l.expected[:l.count] {
		if binary.NativeEndian.Uint32(b[e.offset:]) != e.header {
			return false
		}
	}
	typ, payload, next, ok := attributeAt(b, l.payload)
	if !ok || typ != attrPayload || next != len(b) {
		return false
	}
	l.fill(p, b)
	p.Payload = payload
	return true
}

// fill sets every field but the payload, one by one: to set all of a Packet at
// once is to build it elsewhere and copy it.
func (l *layout) fill(p *Packet, b []byte) {
	p.Family, p.HasSeq, p.HasOwner = b[0], l.seq != 0, l.uid != 0
	p.Prefix, p.LinkHeader, p.EtherType, p.Hook, p.Time = nil, nil, 0, 0, 0
	if l.prefix != 0 {
		p.Prefix = trimNUL(b[l.prefix:l.prefixEnd])
	}
	if l.linkHeader != 0 {
		p.LinkHeader = b[l.linkHeader:l.linkHeaderEnd]
	}
	if l.packetHeader != 0 {
		p.setHeader(b[l.packetHeader:])
	}
	if l.timestamp != 0 {
		p.setTime(b[l.timestamp:])
	}
	p.Seq, p.In, p.Out, p.Mark = number(b, l.seq), number(b, l.in), number(b, l.out), number(b, l.mark)
	p.PhysIn, p.PhysOut, p.UID, p.GID = number(b, l.physIn), number(b, l.physOut), number(b, l.uid), number(b, l.gid)
}

func number(b []byte, at int) uint32 {
	if at == 0 {
		return 0
	}
	return binary.BigEndian.Uint32(b[at:])
}

// learn takes the layout of a message that Packet.parse has accepted. A
// message without a payload at its end, or with an attribute twice, has none.
func learn(b []byte) (layout, bool) {
	var l layout
	var seen uint64
	for at := sizeGroupHeader; at < len(b); {
		typ, value, next, _ := attributeAt(b, at)
		if typ == attrPayload {
			l.payload = at
			return l, next == len(b)
		}
		if typ >= 64 || seen&(1<<typ) != 0 || l.count == maxHeaders {
			return l, false
		}
		seen |= 1 << typ
		l.expected[l.count] = expectation{uint32(at), binary.NativeEndian.Uint32(b[at:])}
		l.count++
		l.place(typ, at+sizeAttributeHeader, value)
		at = next
	}
	return l, false
}

// place notes where an attribute's value is.
func (l *layout) place(typ uint16, at int, value []byte) {
	switch typ {
	case attrPrefix:
		l.prefix, l.prefixEnd = at, at+len(value)
	case attrLinkHeader:
		l.linkHeader, l.linkHeaderEnd = at, at+len(value)
	case attrPacketHeader:
		l.packetHeader = at
	case attrTimestamp:
		l.timestamp = at
	case attrSeq:
		l.seq = at
	case attrIn:
		l.in = at
	case attrOut:
		l.out = at
	case attrPhysIn:
		l.physIn = at
	case attrPhysOut:
		l.physOut = at
	case attrMark:
		l.mark = at
	case attrUID:
		l.uid = at
	case attrGID:
		l.gid = at
	}
}
