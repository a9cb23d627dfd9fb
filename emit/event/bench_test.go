package event

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// BenchmarkAdd measures what a flow costs that is handed on, once a window: in
// a flood there are tens of thousands of them.
func BenchmarkAdd(b *testing.B) {
	const many = 65536
	self := pod("shop", "api", "10.0.1.7")
	optedOut := self
	optedOut.EventsDisabled = true
	outside := external("192.0.2.1")
	for _, tt := range []struct {
		name  string
		to    resolve.Endpoint
		calls bool
	}{
		{"no client", self, false},
		{"no pods", outside, true},
		{"opted out", optedOut, true},
		{"scan", self, true},
	} {
		b.Run(tt.name, func(b *testing.B) {
			e := benchSink(b, tt.calls)
			flows := make([]*emit.DroppedFlow, many)
			for i := range flows {
				peer := external(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}).String())
				flows[i] = tcp(peer, tt.to, uint16(22+i%3), 1)
				flows[i].Prefix = "calico-drop: "
				e.Add(flows[i])
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.Add(flows[i%many])
			}
		})
	}
	b.Run("known flows of 50 pods", func(b *testing.B) {
		e := benchSink(b, true)
		var selves []resolve.Endpoint
		for i := range 50 {
			selves = append(selves, pod("shop", fmt.Sprintf("api-%d", i), fmt.Sprintf("10.0.1.%d", i)))
		}
		f := tcp(outside, self, 80, 1)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			f.Destination = selves[i%50]
			e.Add(f)
		}
	})
}

func benchSink(b *testing.B, calls bool) *Sink {
	b.Helper()
	var c caller
	if calls {
		c = newFakeServer()
	}
	e, err := newSink(Config{NodeName: "n1"}.withDefaults(), c)
	if err != nil {
		b.Fatal(err)
	}
	return e
}
