package nflog

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
)

// FuzzParse holds the walk against a slow reference on mdlayher/netlink:
// whatever the one can read the other can, and reads the same.
func FuzzParse(f *testing.F) {
	f.Add(full(0)[sizeMessageHeader:])
	f.Add(message(msgPacket, groupHeader)[sizeMessageHeader:])
	f.Add(message(msgPacket, groupHeader, attribute(attrPayload))[sizeMessageHeader:])
	f.Add([]byte{2, 0, 0, 100, 5, 0, 2, 0, 1})
	f.Add([]byte{2, 0, 0, 100, 0, 0, 2, 0})
	asText := cmp.Transformer("text", func(b []byte) string { return string(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		var h heads
		got := h.parse(b)
		want, err := reference(b)
		if (got != nil) != (err == nil) {
			t.Fatalf("parse = %v, the reference says %v", got, err)
		}
		if diff := cmp.Diff(&want, got, asText); got != nil && diff != "" {
			t.Fatalf("-reference +got:\n%s", diff)
		}
	})
}

// FuzzHeads parses a second message by what the first has taught: it must read
// the same as without.
func FuzzHeads(f *testing.F) {
	bodies := [][]byte{
		full(0)[sizeMessageHeader:], full(7)[sizeMessageHeader:],
		message(msgPacket, groupHeader, attribute(attrSeq, be32(1)...), attribute(attrPayload, 1, 2, 3))[sizeMessageHeader:],
		message(msgPacket, groupHeader, attribute(attrSeq, be32(1)...), attribute(attrPayload, 1, 2, 3, 4, 5))[sizeMessageHeader:],
		message(msgPacket, groupHeader, attribute(attrPayload, 1), attribute(attrMark, be32(1)...))[sizeMessageHeader:],
		message(msgPacket, groupHeader, attribute(attrPrefix, 'a', 0), attribute(attrPrefix, 'b', 0), attribute(attrPayload, 1))[sizeMessageHeader:],
	}
	for _, first := range bodies {
		for _, second := range bodies {
			f.Add(first, second)
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var taught, untaught heads
		before := taught.parse(first)
		if before != nil {
			before = &[]Packet{*before}[0] // the next message overwrites it
		}
		got, want := taught.parse(second), untaught.parse(second)
		if got != nil && got.Repeats {
			got.Repeats = false
			before.Payload, before.Time, before.Seq = got.Payload, got.Time, got.Seq
			if diff := cmp.Diff(before, got); diff != "" {
				t.Fatalf("it repeats what was other: -before +got:\n%s", diff)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-walked +by a known head:\n%s", diff)
		}
	})
}

// FuzzDatagram looks for panics, stalls and packets that come from nowhere.
func FuzzDatagram(f *testing.F) {
	f.Add(join(full(0), full(1), full(4)))
	f.Add(full(0)[:50])
	f.Add(append([]byte{15, 0, 0, 0}, make([]byte, 60)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		packets, count := parse(b)
		if len(packets) != count.Packets || count.Packets+count.Malformed > len(b)/sizeMessageHeader+1 {
			t.Fatalf("%d packets, %+v from %d bytes", len(packets), count, len(b))
		}
	})
}

var errReference = errors.New("the reference cannot read it")

// reference parses a message with the library's attribute decoder, which lets
// attributes of length 0 pass where the kernel does not (nla_ok).
func reference(b []byte) (Packet, error) {
	if len(b) < sizeGroupHeader || hasZeroLength(b[sizeGroupHeader:]) {
		return Packet{}, errReference
	}
	p := Packet{Family: b[0]}
	ad, err := netlink.NewAttributeDecoder(b[sizeGroupHeader:])
	if err != nil {
		return p, err
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		v := ad.Bytes()
		if len(v) < shortest(ad.Type()) {
			return p, errReference
		}
		referenceAttribute(&p, ad.Type(), v)
	}
	return p, ad.Err()
}

func hasZeroLength(b []byte) bool {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n == 0 {
			return true
		}
		b = b[min(len(b), (max(n, 4)+3)/4*4):]
	}
	return false
}

func shortest(attr uint16) int {
	switch attr {
	case attrPacketHeader:
		return 3
	case attrTimestamp:
		return 16
	case attrMark, attrIn, attrOut, attrPhysIn, attrPhysOut, attrUID, attrGID, attrSeq:
		return 4
	}
	return 0
}

func referenceAttribute(p *Packet, attr uint16, v []byte) {
	numbers := map[uint16]*uint32{
		attrMark: &p.Mark, attrIn: &p.In, attrOut: &p.Out, attrPhysIn: &p.PhysIn, attrPhysOut: &p.PhysOut,
		attrUID: &p.UID, attrGID: &p.GID, attrSeq: &p.Seq,
	}
	if n, ok := numbers[attr]; ok {
		*n = binary.BigEndian.Uint32(v)
	}
	switch attr {
	case attrUID:
		p.HasOwner = true
	case attrSeq:
		p.HasSeq = true
	case attrPacketHeader:
		p.EtherType, p.Hook = binary.BigEndian.Uint16(v), v[2]
	case attrTimestamp:
		p.Time = 0
		sec, usec := binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
		if sec < math.MaxInt64/uint64(time.Second) && usec < 1_000_000 {
			p.Time = time.Unix(int64(sec), int64(usec)*1000).UnixNano()
		}
	case attrPayload:
		p.Payload = v
	case attrLinkHeader:
		p.LinkHeader = v
	case attrPrefix:
		p.Prefix = v
		if n := len(v); n > 0 && v[n-1] == 0 {
			p.Prefix = v[:n-1]
		}
	}
}
