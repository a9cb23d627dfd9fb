package metric

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestTailerNamesAreBounded checks names that an attacker makes by reverse DNS. They must
// displace no names of the cluster, must not look like them, and must make a bounded number
// of series.
func TestTailerNamesAreBounded(t *testing.T) {
	m := newTailer()
	self := pod("shop", "api", "10.0.1.7")
	host := external("203.0.113.9")
	packets := 0
	add := func(from, to string) {
		src, dst := self, self
		if src.Namespace = from; from == "" {
			src = host
		}
		dst.Namespace = to
		m.add(tcp(src, dst, 80, 1))
		packets++
	}
	for i := range 1000 {
		host.Name = fmt.Sprintf("evil-%d.example", i)
		add("", "shop")
	}
	if got := testutil.CollectAndCount(m.vec); got > maxTailerHosts+1 {
		t.Errorf("1,000 hosts make %d series, want at most %d", got, maxTailerHosts+1)
	}
	host.Name = "kube-system"
	add("", "shop")
	add("frontend", "shop")
	for from, want := range map[string]float64{"kube-system": 0, "frontend": 1} {
		if got := testutil.ToFloat64(m.vec.WithLabelValues(from, "shop")); got != want {
			t.Errorf("src %s counts %v, want %v", from, got, want)
		}
	}
	for i := range 300 * 300 {
		add(fmt.Sprint("a", i%300), fmt.Sprint("b", i/300))
	}
	if got := testutil.CollectAndCount(m.vec); got > maxTailerSeries+2 { // "other", and the series that the test looks for
		t.Errorf("%d series, want at most %d", got, maxTailerSeries+2)
	}
	if got := sum(t, m.vec); got != float64(packets) {
		t.Errorf("the series add up to %v, want %d", got, packets)
	}
}
