package dialect

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/kube-nflog/kube-nflog/flow"
)

// wide returns a window of 65,536 flows from many sources. The flows have the prefixes in
// turn.
func wide(prefixes ...string) window {
	return func(yield func(*flow.Flow) bool) {
		f := logged("", 80, 1, 0)
		for i := range 65536 {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], 0x0a000000+uint32(i/len(prefixes)))
			f.Source, f.Prefix = netip.AddrFrom4(b), prefixes[i%len(prefixes)]
			if !yield(&f) {
				return
			}
		}
	}
}

// BenchmarkWindow merges a window of the largest size. It also reports the time for one
// flow. With k3s, policies' rules log half of the flows.
func BenchmarkWindow(b *testing.B) {
	for _, bb := range []struct {
		name, pattern string
		prefixes      []string
	}{
		{"none", "", []string{""}},
		{"text", "", []string{"calico-drop: "}},
		{"pattern", `^(?P<verdict>\w+) by (?P<policy>[\w/-]+):`, []string{"drop by shop/api: "}},
		{"k3s", "", []string{byA, ""}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p, err := NewParser(Auto, bb.pattern)
			if err != nil {
				b.Fatal(err)
			}
			m := NewMerger(p)
			b.ReportAllocs()
			kept := 0
			for b.Loop() {
				for range m.Merge(wide(bb.prefixes...)) {
					kept++
				}
			}
			if kept == 0 {
				b.Fatal("no flow is kept")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/65536, "ns/flow")
		})
	}
}
