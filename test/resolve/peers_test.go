package resolve

import (
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

func TestNodeScope(t *testing.T) {
	local := create(t, controlplane.Pod{Name: "local", Addresses: []netip.Addr{addr("10.2.0.5")}})
	create(t, controlplane.Pod{Name: "remote", Node: otherNode, Addresses: []netip.Addr{addr("10.2.1.5")}})
	r := start(t, resolve.Config{Scope: resolve.NodeScope})
	eventually(t, r, "10.2.0.5", time.Now(), local)
	is(t, r, "10.2.1.5", time.Now(), resolve.Endpoint{Kind: resolve.External})
	now := time.Now()
	if _, again := r.LookupBetween(addr("10.2.1.5"), now, now); again != 0 {
		t.Error("a flow waits for an address that is never going to be known")
	}
}

func TestPeerLookup(t *testing.T) {
	remote := create(t, controlplane.Pod{Name: "remote", Node: otherNode, Addresses: []netip.Addr{addr("10.2.1.6")}})
	create(t, controlplane.Pod{Name: "host", Node: otherNode, HostNetwork: true, Addresses: []netip.Addr{addr("10.2.9.9")}})
	registry := prometheus.NewRegistry()
	r := start(t, resolve.Config{Scope: resolve.NodeScope, PeerLookup: true, PeerQPS: 0.1, PeerBurst: 3, Registerer: registry})

	resolved := func(address string) resolve.Endpoint {
		t.Helper()
		seen := time.Now()
		waits(t, r, address, seen)
		return waitFor(t, r, address, seen)
	}
	if diff := differs(remote, resolved("10.2.1.6")); diff != "" {
		t.Errorf("remote pod (-want +got):\n%s", diff)
	}
	if diff := differs(resolve.Endpoint{Kind: resolve.Node, Name: otherNode}, resolved("10.2.9.9")); diff != "" {
		t.Errorf("remote node (-want +got):\n%s", diff)
	}
	if diff := differs(resolve.Endpoint{Kind: resolve.External}, resolved("10.2.1.77")); diff != "" {
		t.Errorf("nobody (-want +got):\n%s", diff)
	}

	// A scan cannot exceed the rate that is left.
	for i := range 10_000 {
		r.Lookup(netip.AddrFrom4([4]byte{10, 3, byte(i >> 8), byte(i)}), time.Now())
	}
	asked := counted(t, registry, "kube_nflog_resolve_peer_lookups_total")
	if sent := asked["found"] + asked["node"] + asked["none"] + asked["error"]; sent > 6 || asked["refused"] < 9_000 {
		t.Errorf("lookups by result: %v, want at most 6 sent (twice the burst) and the rest refused", asked)
	}
}

// counted returns the values of a counter by its only label.
func counted(t *testing.T, g prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name || f.GetType() != dto.MetricType_COUNTER {
			continue
		}
		for _, m := range f.GetMetric() {
			values[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return values
}
