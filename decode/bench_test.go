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

// BenchmarkRepeats decodes packets of one flow.
func BenchmarkRepeats(b *testing.B) {
	for _, c := range decodeCases() {
		d := NewDecoder(nil)
		var drop Drop
		d.Decode(c.payload, nil, c.ether(), &drop)
		if !d.Repeats(c.payload, &drop) {
			continue
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !d.Repeats(c.payload, &drop) {
					b.Fatal("is another")
				}
			}
		})
	}
}
