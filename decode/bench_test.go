package decode

import (
	"bytes"
	"fmt"
	"testing"
)

// BenchmarkDecode decodes one packet of each kind.
func BenchmarkDecode(b *testing.B) {
	prefix := []byte("deny: ")
	for _, c := range decodeCases() {
		b.Run(c.name, func(b *testing.B) {
			d := NewDecoder(nil)
			var drop Drop
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(c.payload, prefix, c.ether(), &drop)
			}
		})
	}
}

// BenchmarkLike decodes packets of one flow, and such of two in turn.
func BenchmarkLike(b *testing.B) {
	for _, c := range decodeCases() {
		for _, want := range []Likeness{SameFlow, Alike} {
			other := c.payload
			if want == Alike {
				other = fromAnother(c.payload)
			}
			d := NewDecoder(nil)
			var drop Drop
			d.Decode(c.payload, nil, c.ether(), &drop)
			if d.Like(other, &drop) != want {
				continue
			}
			b.Run(fmt.Sprintf("%s/likeness=%d", c.name, want), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if d.Like(c.payload, &drop) != want || d.Like(other, &drop) != want {
						b.Fatal("is another")
					}
				}
			})
		}
	}
}

// fromAnother returns a packet from another source address, if it has one.
func fromAnother(payload []byte) []byte {
	other, end := bytes.Clone(payload), 15
	if len(other) >= ipv6Header && other[0]>>4 == 6 {
		end = 23
	}
	if end < len(other) {
		other[end] ^= 1
	}
	return other
}
