package nflog

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/internal/paired"
)

// TestHeaderCacheInTurn parses packets of 16 rules and paths in turn. Each must read as
// if it were walked, and nearly all of them must have a known header.
func TestHeaderCacheInTurn(t *testing.T) {
	var c headerCache
	known := 0
	for seq := range uint32(64) {
		body := routed(seq, fmt.Sprintf("rule %02d: ", seq%16))
		if place := placeOf(body); c.all[place].complete(body) || c.all[place^1].complete(body) {
			known++
		}
		var walked header
		want := walked.learn(body)
		if want == nil || want.seq != seq {
			t.Fatalf("packet %d is walked as %+v", seq, want)
		}
		if diff := cmp.Diff(want, c.parse(body), cmp.AllowUnexported(Packet{})); diff != "" {
			t.Errorf("packet %d: -walked +by a known header:\n%s", seq, diff)
		}
	}
	if known < 48 {
		t.Errorf("%d headers of 48 were known", known)
	}
}

// TestHeaderOfAnotherPacket parses two messages in turn that differ in one byte.
func TestHeaderOfAnotherPacket(t *testing.T) {
	one := full(0)[sizeMessageHeader:]
	for at := range one {
		other := append([]byte(nil), one...)
		other[at] ^= 0x40
		var c headerCache
		for i, body := range [][]byte{one, other, one} {
			var walked header
			if diff := cmp.Diff(walked.learn(body), c.parse(body), cmp.AllowUnexported(Packet{})); diff != "" {
				t.Errorf("byte %d differs, message %d: -walked +by a known header:\n%s", at, i, diff)
			}
		}
	}
}

// routed is a message of a packet that a node forwards, without its netlink header.
func routed(seq uint32, prefix string) []byte {
	payload := append([]byte{0x45, 0, 0, 92}, make([]byte, 88)...)
	return message(msgPacket, groupHeader,
		attribute(attrPacketHeader, 0x08, 0x00, 2, 0),
		attribute(attrPrefix, append([]byte(prefix), 0)...),
		attribute(attrIn, be32(3)...), attribute(attrOut, be32(4)...),
		attribute(attrMark, be32(0x10000)...),
		attribute(8, 0, 6, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0),
		attribute(15, 0, 1), attribute(17, 0, 14), attribute(attrLinkHeader, make([]byte, 14)...),
		attribute(attrTimestamp, 0, 0, 0, 0, 0x6a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7),
		attribute(attrSeq, be32(seq)...),
		attribute(attrPayload, payload...))[sizeMessageHeader:]
}

// BenchmarkHeaderCache compares known headers with walking each message, for packets of
// one rule and for packets of 16 rules in turn.
func BenchmarkHeaderCache(b *testing.B) {
	for _, rules := range []int{1, 16} {
		var bodies [][]byte
		for i := range 512 {
			bodies = append(bodies, routed(uint32(i), fmt.Sprintf("rule %02d: ", i%rules)))
		}
		var c headerCache
		var h header
		known := func() {
			for _, body := range bodies {
				c.parse(body)
			}
		}
		walked := func() {
			for _, body := range bodies {
				h.learn(body)
			}
		}
		b.Run(fmt.Sprintf("rules=%d", rules), func(b *testing.B) { paired.Compare(b, len(bodies), known, walked) })
	}
}
