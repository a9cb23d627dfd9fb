package resolve

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// waiter runs waits in a bubble, and notes what is called, and after how long.
type waiter struct {
	*waits
	began  time.Time
	called map[string]time.Duration
	counts map[string]int
}

func startWaits(t *testing.T, limit int) *waiter {
	w := &waiter{began: time.Now(), called: map[string]time.Duration{}, counts: map[string]int{}}
	w.waits = newWaits(limit, func() int64 { return time.Now().UnixNano() }, func(result string) { w.counts[result]++ })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return w
}

func (w *waiter) hold(name, address string, d time.Duration) bool {
	return w.add(addr(address), w.began.Add(d).UnixNano(), func() { w.called[name] = time.Since(w.began) })
}

func TestWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWaits(t, 4)
		w.hold("late", "10.0.0.1", 9*time.Second)
		w.hold("soon", "10.0.0.2", 2*time.Second)
		w.hold("woken", "10.0.0.3", 9*time.Second)
		w.hold("released", "10.0.0.4", time.Hour)
		if w.hold("too many", "10.0.0.5", time.Second) {
			t.Error("more are held than the limit")
		}
		time.AfterFunc(5*time.Second, func() { w.wake(addr("10.0.0.3")) })
		<-time.After(20 * time.Second)
		synctest.Wait()
		w.release()
		if w.hold("after release", "10.0.0.6", time.Second) {
			t.Error("held after release")
		}
		want := map[string]time.Duration{"soon": 2 * time.Second, "woken": 5 * time.Second, "late": 9 * time.Second, "released": 20 * time.Second}
		if diff := cmp.Diff(want, w.called); diff != "" {
			t.Errorf("called (-want +got):\n%s", diff)
		}
		counts := map[string]int{"expired": 2, "woken": 1, "released": 1, "overflow": 1}
		if diff := cmp.Diff(counts, w.counts); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		if n := w.len(); n != 0 || len(w.byAddr) != 0 {
			t.Errorf("%d wait, for %d addresses, want none", n, len(w.byAddr))
		}
	})
}

// What is called may wait again, and may be called from release.
func TestWaitsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := startWaits(t, 4)
		again := 0
		var hold func()
		hold = func() {
			if again++; again < 3 {
				w.add(addr("10.0.0.1"), time.Now().Add(time.Second).UnixNano(), hold)
			}
		}
		hold()
		<-time.After(time.Minute)
		synctest.Wait()
		if again != 3 {
			t.Errorf("called %d times, want 3", again)
		}
	})
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
	watched(r.owners, noon().UnixNano())
	proven(r.owners, r.now())
	r.nodes.replace(nil, nodePlace(&corev1.Node{
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
				if got := r.Await(addr(tt.address), now.Add(-tt.age), func() {}); got != want {
					t.Errorf("scope %v: held %v, want %v", scope, got, want)
				}
				r.Release()
			}
		})
	}
}

// A host beside the cluster is waited for once in a while, not each time.
func TestWaitedInVain(t *testing.T) {
	now := noon().Add(time.Minute)
	r := awaiting(t, Config{Now: func() time.Time { return now }})
	seen := now
	if !r.Await(addr("10.9.9.9"), seen, func() {}) {
		t.Fatal("not held at first")
	}
	now = now.Add(15 * time.Second)
	if r.Await(addr("10.9.9.9"), seen, func() {}) || r.Await(addr("10.9.9.9"), now, func() {}) {
		t.Error("held after it was waited for in vain")
	}
	now = now.Add(2 * time.Minute)
	if !r.Await(addr("10.9.9.9"), now, func() {}) {
		t.Error("not held again after a while")
	}
}

// A private address is one of a pod's neighbours, or it is waited for only while
// nothing is known of the cluster's ranges.
func TestWhereAPodIsLikely(t *testing.T) {
	nodeRange := func(r *Resolver) {
		r.nodes.replace(nil, nodePlace(&corev1.Node{Spec: corev1.NodeSpec{PodCIDR: "10.244.3.0/24"}}))
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
