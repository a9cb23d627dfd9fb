package resolve

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// waits reports whether a look-up of the address may bring more later.
func waits(r *Resolver, address string, at time.Time) bool {
	_, again := r.LookupBetween(addr(address), at, at)
	return again > 0
}

// awaiting is a synced resolver of a cluster with one node and one public pod.
func awaiting(t *testing.T, cfg Config) *Resolver {
	t.Helper()
	_, client := startAPI(t)
	r, err := New(cfg, client)
	if err != nil {
		t.Fatal(err)
	}
	close(r.ready)
	watched(r.history, noon().UnixNano())
	proven(r.history, r.now())
	r.nodes.replace(nil, nodeEntry(&corev1.Node{
		Spec:   corev1.NodeSpec{PodCIDRs: []string{"203.0.113.0/24", "2001:db8:1::/64"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: "192.168.0.1"}}},
	}))
	r.set(nil, newPod(madePod("public", "198.51.100.5", "10.9.9.5"), ""))
	return r
}

func TestWhatIsWorthWaitingFor(t *testing.T) {
	now := noon().Add(time.Minute)
	tests := map[string]struct {
		address string
		age     time.Duration // of the packet
		cluster bool          // held in cluster scope
		node    bool          // and in node scope
	}{
		"private":                   {"10.0.0.9", 0, false, false},
		"private IPv6":              {"fd00::9", 0, false, false},
		"carrier-grade NAT":         {"100.64.0.9", 0, false, false},
		"a node's pod network":      {"203.0.113.9", 0, true, true},
		"a node's IPv6 pod network": {"2001:db8:1::9", 0, true, true},
		"near a known pod":          {"198.51.100.9", 0, true, true},
		"near a known private pod":  {"10.9.9.9", 0, true, true},
		"the Internet":              {"192.0.2.9", 0, false, false},
		"the IPv6 Internet":         {"2001:db8:2::9", 0, false, false},
		"a known pod":               {"198.51.100.5", 0, false, false},
		"a node":                    {"192.168.0.1", 0, false, false},
		"unspecified":               {"0.0.0.0", 0, false, false},
		"too long ago":              {"203.0.113.9", 20 * time.Second, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			clock := func() time.Time { return now }
			for scope, want := range map[Scope]bool{ClusterScope: tt.cluster, NodeScope: tt.node} {
				r := awaiting(t, Config{Scope: scope, NodeName: "n1", Now: clock})
				if got := waits(r, tt.address, now.Add(-tt.age)); got != want {
					t.Errorf("scope %v: waits %v, want %v", scope, got, want)
				}
			}
		})
	}
}

// A host beside the cluster is waited for once in a while, not each time.
func TestWaitedInVain(t *testing.T) {
	now := noon().Add(time.Minute)
	r := awaiting(t, Config{Now: func() time.Time { return now }})
	seen := now
	later := func(d time.Duration) {
		now = now.Add(d)
		proven(r.history, r.now())
	}
	if !waits(r, "10.9.9.9", seen) {
		t.Fatal("does not wait at first")
	}
	later(15 * time.Second)
	if waits(r, "10.9.9.9", seen) || waits(r, "10.9.9.9", now) {
		t.Error("waits after it was waited for in vain")
	}
	later(2 * time.Minute)
	if !waits(r, "10.9.9.9", now) {
		t.Error("does not wait again after a while")
	}
}

// A private address is one of a pod's neighbours, or it is waited for only while
// nothing is known of the cluster's ranges.
func TestWhereAPodIsLikely(t *testing.T) {
	nodeRange := func(r *Resolver) {
		r.nodes.replace(nil, nodeEntry(&corev1.Node{Spec: corev1.NodeSpec{PodCIDR: "10.244.3.0/24"}}))
	}
	pod := func(name, ip string) func(*Resolver) {
		return func(r *Resolver) { r.set(nil, newPod(madePod(name, ip), "")) }
	}
	tests := map[string]struct {
		told []func(*Resolver)
		want map[string]bool
	}{
		"nothing is known": {nil, map[string]bool{"10.244.3.9": true, "192.168.7.9": true, "203.0.113.9": false}},
		"a node's range":   {[]func(*Resolver){nodeRange}, map[string]bool{"10.244.3.9": true, "10.244.4.9": false, "192.168.7.9": false}},
		"a pod in it": {[]func(*Resolver){nodeRange, pod("a", "10.244.3.5")},
			map[string]bool{"10.244.3.9": true, "10.244.4.9": false, "192.168.7.9": false}},
		"a pod in it, known before": {[]func(*Resolver){pod("a", "10.244.3.5"), nodeRange},
			map[string]bool{"10.244.3.9": true, "10.244.4.9": false, "192.168.7.9": false}},
		"a pod beside it": {[]func(*Resolver){nodeRange, pod("a", "10.244.3.5"), pod("b", "10.244.200.5"), pod("c", "10.244.3.6")},
			map[string]bool{"10.244.3.9": true, "10.244.4.9": true, "10.245.4.9": false}},
		"no node's range": {[]func(*Resolver){pod("a", "172.16.3.5")}, map[string]bool{"172.16.9.9": true, "172.17.3.9": false, "10.0.0.9": false}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, client := startAPI(t)
			r, err := New(Config{}, client)
			if err != nil {
				t.Fatal(err)
			}
			for _, tell := range tt.told {
				tell(r)
			}
			for address, want := range tt.want {
				if got := r.maybePod(addr(address)); got != want {
					t.Errorf("%s may be a pod's: %v, want %v", address, got, want)
				}
			}
		})
	}
}

// While the watch lags, an address that the Internet does not route may be a new
// pod's. The watch is probed, and nobody waits once it is proven.
func TestWaitsWhileTheWatchLags(t *testing.T) {
	now := noon().Add(time.Minute)
	r := awaiting(t, Config{Now: func() time.Time { return now }})
	now = now.Add(10 * time.Second)
	seen := now
	for address, want := range map[string]bool{"10.0.0.9": true, "203.0.113.9": true, "192.0.2.9": false, "192.168.0.1": false} {
		if got := waits(r, address, seen); got != want {
			t.Errorf("%s waits %v, want %v", address, got, want)
		}
	}
	if !r.prober.wanted.Load() {
		t.Error("the watch is not probed")
	}
	now = now.Add(time.Minute)
	if !waits(r, "203.0.113.9", seen) {
		t.Error("does not wait as long as the watch lags")
	}
	proven(r.history, r.now())
	for _, address := range []string{"10.0.0.9", "203.0.113.9"} {
		if waits(r, address, seen) {
			t.Errorf("%s waits, although nothing more is going to be known", address)
		}
	}
	if now = now.Add(2 * time.Minute); waits(r, "10.0.0.9", seen) {
		t.Error("waits for ever")
	}
}
