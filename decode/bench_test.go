package decode

import "testing"

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
