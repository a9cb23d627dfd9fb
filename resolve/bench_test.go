package resolve

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// filled returns a synced resolver with the given number of pods, from 10.0.0.0 on.
func filled(tb testing.TB, pods int) *Resolver {
	tb.Helper()
	r, err := New(Config{Now: aMinuteLater}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	watched(r.history, r.now())
	for i := range pods {
		r.set(nil, newPod(madePod(fmt.Sprintf("pod-%d", i), numbered(i).String()), ""))
	}
	return r
}

func numbered(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
}

// TestLookupAllocatesNothing checks that a look-up allocates nothing, whatever the answer.
// Every flow costs two look-ups.
func TestLookupAllocatesNothing(t *testing.T) {
	r := filled(t, 10)
	r.nodes.replace(nil, nodeEntry(&corev1.Node{Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: "192.168.0.1"}}}}))
	for _, address := range []string{"10.0.0.3", "192.168.0.1", "203.0.113.9", "fd00::9"} {
		a, at := addr(address), noon().Add(time.Minute)
		if n := testing.AllocsPerRun(100, func() { r.Lookup(a, at) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", address, n)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	r := filled(b, 10_000)
	at := noon().Add(time.Minute)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if e := r.Lookup(numbered(i*7919%10_000), at); e.Kind != Pod {
			b.Fatal("not found")
		}
	}
}
