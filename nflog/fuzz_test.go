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

// FuzzParse compares the walk with a slow reference on mdlayher/netlink: both accept the
// same messages and read the same from them.
func FuzzParse(f *testing.F) {
	f.Add(full(0)[sizeMessageHeader:])
	f.Add(message(msgPacket, groupHeader)[sizeMessageHeader:])
	f.Add(message(msgPacket, groupHeader, attribute(attrPayload))[sizeMessageHeader:])
	f.Add([]byte{2, 0, 0, 100, 5, 0, 2, 0, 1})
	f.Add([]byte{2, 0, 0, 100, 0, 0, 2, 0})
	asText := cmp.Transformer("text", func(b []byte) string { return string(b) })
	f.Fuzz(func(t *testing.T, b []byte) {
		var c headerCache
		got := c.parse(b)
		want, err := reference(b)
		if (got != nil) != (err == nil) {
			t.Fatalf("parse = %v, the reference says %v", got, err)
		}
		if diff := cmp.Diff(&want, got, asText, cmp.AllowUnexported(Packet{})); got != nil && diff != "" {
			t.Fatalf("-reference +got:\n%s", diff)
		}
	})
}

// FuzzHeaderCache parses a second message after a first one: the result must be the
// same as without the first.
func FuzzHeaderCache(f *testing.F) {
	bodies := [][]byte{
		full(0)[sizeMessageHeader:], full(7)[sizeMessageHeader:],
		message(msgPacket, groupHeader, attribute(attrSeq, be32(1)...), attribute(attrPayload, 1, 2, 3))[sizeMessageHeader:],
		message(msgPacket, groupHeader, attribute(attrSeq, be32(1)...), attribute(attrPayload, 1, 2, 3, 4, 5))[sizeMessageHeader:],
		message(msgPacket, groupHeader, attribute(attrPayload, 1), attribute(attrIn, be32(1)...))[sizeMessageHeader:],
		message(msgPacket, groupHeader, attribute(attrPrefix, 'a', 0), attribute(attrPrefix, 'b', 0), attribute(attrPayload, 1))[sizeMessageHeader:],
	}
	for _, first := range bodies {
		for _, second := range bodies {
			f.Add(first, second)
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var taught, untaught headerCache
		taught.parse(first)
		got, want := taught.parse(second), untaught.parse(second)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(Packet{})); diff != "" {
			t.Fatalf("-walked +by a known header:\n%s", diff)
		}
	})
}

// FuzzDatagram looks for panics, endless loops and packets that the datagram does not have.
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

// reference parses a message with the library's attribute decoder. That accepts
// attributes of length 0, which the kernel does not (nla_ok).
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
	case attrIn, attrOut, attrSeq:
		return 4
	}
	return 0
}

func referenceAttribute(p *Packet, attr uint16, v []byte) {
	numbers := map[uint16]*uint32{
		attrIn: &p.In, attrOut: &p.Out, attrSeq: &p.seq,
	}
	if n, ok := numbers[attr]; ok {
		*n = binary.BigEndian.Uint32(v)
	}
	switch attr {
	case attrSeq:
		p.hasSeq = true
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
	case attrPrefix:
		p.Prefix = v
		if n := len(v); n > 0 && v[n-1] == 0 {
			p.Prefix = v[:n-1]
		}
	}
}
