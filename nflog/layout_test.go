package nflog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLayoutsInTurn has packets of 16 rules in turn, whose prefixes are all of
// another length: each is read as if walked, and from the second turn on none
// has to be.
func TestLayoutsInTurn(t *testing.T) {
	var l layouts
	for seq := range uint32(64) {
		rule := int(seq % 16)
		body := routed(seq, strings.Repeat("p", rule))[sizeMessageHeader:]
		at := pairOf(body)
		var known Packet
		if seq >= 16 && !l[at].parse(&known, body) && !l[at+1].parse(&known, body) {
			t.Errorf("packet %d: the layout with a prefix of %d bytes was forgotten", seq, rule)
		}
		var got, want Packet
		if !want.parse(body) || want.Seq != seq || len(want.Prefix) != rule {
			t.Fatalf("packet %d is walked as %+v", seq, want)
		}
		if !l.parse(&got, body) {
			t.Fatalf("packet %d is not read by its layout", seq)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("packet %d: -walked +by layout:\n%s", seq, diff)
		}
	}
}

// TestLayoutsThatAreNearlyTheSame has messages in turn that differ in nothing
// but an attribute's type, one more kind than there are places for.
func TestLayoutsThatAreNearlyTheSame(t *testing.T) {
	var l layouts
	for i := range 12 {
		number := []uint16{attrIn, attrOut, attrMark}[i%3]
		body := message(msgPacket, groupHeader,
			attribute(attrPacketHeader, 0x08, 0x00, 2, 0), attribute(attrPrefix, 'p', 0),
			attribute(number, be32(7)...), attribute(attrPayload, 1, 2, 3))[sizeMessageHeader:]
		var got, want Packet
		if !l.parse(&got, body) || !want.parse(body) {
			t.Fatalf("message %d is not read", i)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("message %d: -walked +by layout:\n%s", i, diff)
		}
	}
}
