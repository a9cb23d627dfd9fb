package nflog

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHeadsInTurn has packets of 16 rules and paths in turn: each is read as if
// walked, and nearly all of them by a head that is known.
func TestHeadsInTurn(t *testing.T) {
	var h heads
	known := 0
	for seq := range uint32(64) {
		body := routed(seq, fmt.Sprintf("rule %02d: ", seq%16))[sizeMessageHeader:]
		if place := placeOf(body); h.all[place].take(body) || h.all[place^1].take(body) {
			known++
		}
		var walk head
		want := walk.learn(body)
		if want == nil || want.Seq != seq {
			t.Fatalf("packet %d is walked as %+v", seq, want)
		}
		if diff := cmp.Diff(want, h.parse(body)); diff != "" {
			t.Errorf("packet %d: -walked +by a known head:\n%s", seq, diff)
		}
	}
	if known < 48 {
		t.Errorf("%d heads of 48 were known", known)
	}
}

// TestHeadOfAnotherPacket has two messages in turn that differ in one value.
func TestHeadOfAnotherPacket(t *testing.T) {
	one := full(0)[sizeMessageHeader:]
	for at := range one {
		other := append([]byte(nil), one...)
		other[at] ^= 0x40
		var h heads
		for i, body := range [][]byte{one, other, one} {
			var walk head
			got := h.parse(body)
			if got != nil {
				got.Repeats = false
			}
			if diff := cmp.Diff(walk.learn(body), got); diff != "" {
				t.Errorf("byte %d differs, message %d: -walked +by a known head:\n%s", at, i, diff)
			}
		}
	}
}
