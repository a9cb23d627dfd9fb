package resolve

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// announcer is a pod without addresses in its status, whose annotation
// announces some.
func announcer(name, annotation string) *corev1.Pod {
	p := madePod(name)
	p.Annotations = map[string]string{annotationCalico: annotation}
	p.Status.Phase, p.Status.Conditions = corev1.PodPending, nil
	return p
}

// calicoNode is node n1 with Calico.
func calicoNode() *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1", Annotations: map[string]string{
			annotationCalicoNode: "192.168.0.1/24", "projectcalico.org/IPv4IPIPTunnelAddr": "10.0.0.30",
		}},
		Spec:   corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/24", "fd00::/64"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: "192.168.0.1"}, {Address: "10.0.0.31"}}},
	}
}

// teller tells a resolver about pods, in steps of the clock.
type teller struct {
	*Resolver
	clock time.Duration // since noon
	known map[string]*pod
}

func newTeller(t *testing.T, cfg Config) *teller {
	t.Helper()
	c := &teller{clock: time.Minute, known: map[string]*pod{}}
	cfg.Now = func() time.Time { return noon().Add(c.clock) }
	c.Resolver = newResolver(t, cfg)
	return c
}

func (c *teller) tell(pods ...*corev1.Pod) {
	for _, o := range pods {
		p := c.cfg.pod(o)
		c.set(c.known[p.key()], p)
		c.known[p.key()] = p
	}
}

// Lookup is a lookup once the watch is known to be well.
func (c *teller) Lookup(a netip.Addr, at time.Time) Endpoint {
	proven(c.history, c.now())
	return c.Resolver.Lookup(a, at)
}

func (c *teller) gone(name string) {
	proven(c.history, c.now())
	c.history.remove(c.known[name], c.now(), false)
	delete(c.known, name)
}

// An annotation is what a tenant likes: it takes no address of another's.
func TestAnnouncedAddress(t *testing.T) {
	away := func(p *corev1.Pod) { p.Spec.NodeName = "n2" }
	service := func(ips ...string) *indexEntry {
		return serviceEntry(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"}, Spec: corev1.ServiceSpec{ClusterIPs: ips}})
	}
	external := Endpoint{Kind: External}
	tests := map[string]struct {
		tell    func(c *teller)
		address string
		at      time.Duration // of the packet
		asked   time.Duration // 0: much later
		node    bool          // in node scope
		want    Endpoint
	}{
		"alone": {tell: func(c *teller) { c.tell(announcer("new", "10.0.0.5/32")) }, want: podNamed("new")},
		"IPv6": {tell: func(c *teller) { c.tell(announcer("new", "10.0.0.5/32,fd00::5/128")) },
			address: "fd00::5", want: podNamed("new")},
		"alone, in node scope": {tell: func(c *teller) { c.tell(announcer("new", "10.0.0.5/32")) }, node: true, want: podNamed("new")},
		"a moment ago": {tell: func(c *teller) { c.tell(announcer("new", "10.0.0.5/32")) },
			asked: 71 * time.Second, want: Endpoint{}},
		"before it was said": {tell: func(c *teller) { c.tell(announcer("new", "10.0.0.5/32")) }, at: 50 * time.Second, want: Endpoint{}},
		"said of another address before": {tell: func(c *teller) {
			c.tell(announcer("new", "10.0.0.6/32"))
			c.clock = 80 * time.Second
			c.tell(announcer("new", "10.0.0.5/32"))
		}, want: Endpoint{}},
		"said of another family before": {tell: func(c *teller) {
			c.tell(announcer("new", "10.0.0.5/32"))
			c.clock = 80 * time.Second
			c.tell(announcer("new", "10.0.0.5/32,fd00::5/128"))
		}, address: "fd00::5", want: Endpoint{}},
		"taken back": {tell: func(c *teller) {
			c.tell(announcer("new", "10.0.0.5/32"))
			c.tell(madePod("new"))
		}, want: Endpoint{}},
		"of a pod that is gone": {tell: func(c *teller) {
			c.tell(announcer("new", "10.0.0.5/32"))
			c.gone("shop/new")
		}, want: Endpoint{}},
		"another pod's": {tell: func(c *teller) {
			c.tell(madePod("victim", "10.0.0.5"), announcer("evil", "10.0.0.5/32"))
		}, want: podNamed("victim")},
		"another pod's, known later": {tell: func(c *teller) {
			c.tell(announcer("evil", "10.0.0.5/32"), madePod("victim", "10.0.0.5"))
		}, want: podNamed("victim")},
		"another pod's of another node": {tell: func(c *teller) {
			c.tell(announcer("evil", "10.0.0.5/32"), change(madePod("victim", "10.0.0.5"), away))
		}, want: Endpoint{Kind: Pod, Namespace: "shop", Name: "victim", UID: "uid-victim", Identifier: "shop/victim", NodeName: "n2"}},
		"another pod's, which then ends": {tell: func(c *teller) {
			c.tell(madePod("victim", "10.0.0.5"), announcer("evil", "10.0.0.5/32"))
			c.clock = 90 * time.Second
			c.gone("shop/victim")
		}, want: podNamed("victim")},
		"another pod's, which ends at this moment": {tell: func(c *teller) {
			c.tell(madePod("victim", "10.0.0.5"), announcer("evil", "10.0.0.5/32"))
			c.clock = 71 * time.Second
			c.gone("shop/victim")
		}, want: Endpoint{Ambiguous: true}},
		"another pod's, which says nothing else and is gone": {tell: func(c *teller) {
			c.tell(announcer("evil", "10.0.0.5/32"), announcer("victim", "10.0.0.5/32"))
			c.clock = 71 * time.Second
			c.gone("shop/victim")
		}, want: Endpoint{}},
		"of which another pod's status is to tell": {tell: func(c *teller) {
			c.tell(announcer("victim", "10.0.0.5/32"), announcer("evil", "10.0.0.5/32"))
		}, want: Endpoint{}},
		"of which another pod's status tells": {tell: func(c *teller) {
			c.tell(announcer("victim", "10.0.0.5/32"), announcer("evil", "10.0.0.5/32"), madePod("victim", "10.0.0.5"))
		}, want: podNamed("victim")},
		"a node's":            {tell: func(c *teller) { c.tell(announcer("evil", "10.0.0.31/32")) }, address: "10.0.0.31", want: Endpoint{Kind: Node, Name: "n1"}},
		"a node's tunnel's":   {tell: func(c *teller) { c.tell(announcer("evil", "10.0.0.30/32")) }, address: "10.0.0.30", want: Endpoint{Kind: Node, Name: "n1"}},
		"a node's on the way": {tell: func(c *teller) { c.tell(announcer("evil", "10.0.0.1/32")) }, address: "10.0.0.1", want: Endpoint{}},
		"a Service's": {tell: func(c *teller) {
			c.tell(announcer("evil", "10.0.0.40/32"))
			c.services.replace(nil, service("10.0.0.40"))
		}, address: "10.0.0.40", want: Endpoint{Kind: Service, Namespace: "shop", Name: "api"}},
		"of the Internet":         {tell: func(c *teller) { c.tell(announcer("evil", "203.0.113.5/32")) }, address: "203.0.113.5", want: external},
		"of no block of the node": {tell: func(c *teller) { c.tell(announcer("evil", "10.0.0.200/32")) }, address: "10.0.0.200", want: Endpoint{}},
		"of another node's block": {tell: func(c *teller) { c.tell(change(announcer("evil", "10.0.0.5/32"), away)) }, want: Endpoint{}},
		"where Calico is not": {tell: func(c *teller) {
			without := calicoNode()
			without.Annotations = nil
			c.nodes.replace(nodeEntry(calicoNode()), nodeEntry(without))
			c.tell(announcer("evil", "10.0.0.5/32"))
		}, want: Endpoint{}},
		"one of too many": {tell: func(c *teller) { c.tell(announcer("evil", "10.0.0.5/32,10.0.0.6/32")) }, want: Endpoint{}},
		"beside the status": {tell: func(c *teller) {
			c.tell(change(madePod("evil", "10.0.0.9"), func(p *corev1.Pod) { p.Annotations = map[string]string{annotationCalico: "10.0.0.5/32"} }))
		}, want: Endpoint{}},
		"on the host's network": {tell: func(c *teller) {
			c.tell(change(announcer("evil", "10.0.0.5/32"), func(p *corev1.Pod) { p.Spec.HostNetwork = true }))
		}, want: Endpoint{}},
		"by a pod that finished": {tell: func(c *teller) {
			c.tell(change(announcer("evil", "10.0.0.5/32"), func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }))
		}, want: Endpoint{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := Config{}
			if tt.node {
				cfg = Config{Scope: NodeScope, NodeName: "n1"}
			}
			c := newTeller(t, cfg)
			c.nodes.replace(nil, nodeEntry(calicoNode()))
			c.tell(madePod("neighbour", "10.0.0.4", "fd00::4"))
			tt.tell(c)
			c.clock = 5 * time.Minute
			if tt.asked != 0 {
				c.clock = tt.asked
			}
			address, seen := "10.0.0.5", 70*time.Second
			if tt.address != "" {
				address = tt.address
			}
			if tt.at != 0 {
				seen = tt.at
			}
			got := c.Lookup(addr(address), noon().Add(seen))
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(Endpoint{}, "IP")); diff != "" {
				t.Errorf("endpoint (-want +got):\n%s", diff)
			}
		})
	}
}

// What is announced makes a flow wait no longer than until rivals are known.
func TestAnnouncedIsAwaited(t *testing.T) {
	now := noon().Add(time.Minute)
	r := awaiting(t, Config{Now: func() time.Time { return now }})
	r.nodes.replace(nil, nodeEntry(calicoNode()))
	r.set(nil, newPod(madePod("neighbour", "10.0.0.4"), ""))
	r.set(nil, newPod(announcer("new", "10.0.0.5/32"), ""))
	if _, again := r.LookupBetween(addr("10.0.0.5"), now, now); again != skew {
		t.Errorf("waits for %v, want %v", again, skew)
	}
	seen := now
	now = now.Add(skew)
	proven(r.history, r.now())
	if waits(r, "10.0.0.5", seen) {
		t.Error("waits, although the owner is known")
	}
}

// A pod that is being deleted gives its address back before it is gone.
func TestReturnedAddress(t *testing.T) {
	returned := change(madePod("old", "10.0.0.5"), func(p *corev1.Pod) {
		p.DeletionTimestamp, p.Annotations = at(time.Minute), map[string]string{annotationCalico: ""}
	})
	started := func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = *at(70 * time.Second) }
	for name, told := range map[string]bool{"told of": true, "told with the deletion": false} {
		t.Run(name, func(t *testing.T) {
			c := newTeller(t, Config{})
			c.tell(madePod("old", "10.0.0.5"))
			if told {
				c.tell(returned)
				c.tell(change(madePod("new", "10.0.0.5"), started))
				c.clock = 2 * time.Minute
			}
			c.history.remove(newPod(returned, ""), c.now(), false)
			if !told {
				c.tell(change(madePod("new", "10.0.0.5"), started))
			}
			c.clock = 5 * time.Minute
			for seen, want := range map[time.Duration]string{30 * time.Second: "old", 80 * time.Second: "new"} {
				if got := c.Lookup(addr("10.0.0.5"), noon().Add(seen)); got.Name != want {
					t.Errorf("at %v: %+v, want %s", seen, got, want)
				}
			}
		})
	}
}

// A pod that is being deleted says that it has given its address back, and has it
// for a while longer: what it sends then is not another's who takes it.
func TestReturnedTooEarly(t *testing.T) {
	c := newTeller(t, Config{})
	c.tell(madePod("evil", "10.0.0.5"))
	terminating := func(annotation string) *corev1.Pod {
		return change(madePod("evil", "10.0.0.5"), func(p *corev1.Pod) {
			p.DeletionTimestamp, p.Annotations = at(time.Minute), map[string]string{annotationCalico: annotation}
		})
	}
	c.tell(terminating(""))
	c.clock = 90 * time.Second
	c.tell(terminating("10.0.0.6/32")) // it has not got it again
	c.tell(change(madePod("next", "10.0.0.5"), func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = *at(90 * time.Second) }))
	c.clock = 5 * time.Minute
	for _, gone := range []bool{false, true} {
		if gone {
			c.gone("shop/evil")
		}
		for seen, want := range map[time.Duration]string{30 * time.Second: "evil", 89 * time.Second: "", 100 * time.Second: "next"} {
			if got := c.Lookup(addr("10.0.0.5"), noon().Add(seen)); got.Name != want || got.Ambiguous != (want == "") {
				t.Errorf("gone %v, at %v: %+v, want %q", gone, seen, got, want)
			}
		}
	}
}

// Rumours about more addresses than are remembered, or by more pods, let no other
// be named, for the moments in which they count.
func TestRumoursAreBounded(t *testing.T) {
	c := newTeller(t, Config{})
	c.nodes.replace(nil, nodeEntry(calicoNode()))
	c.tell(madePod("victim", "10.0.0.5"))
	for i := range maxPastAnnouncements + 10 {
		c.tell(announcer("evil", fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255)))
	}
	for i := range 2 * maxAssignments {
		name := fmt.Sprint("evil-", i)
		c.tell(announcer(name, "10.0.0.9/32"))
		c.gone("shop/" + name)
	}
	if addrs, of := len(c.history.pastAnnouncements.byAddr), len(c.history.pastAnnouncements.byAddr[addr("10.0.0.9")]); addrs != maxPastAnnouncements || of != maxAssignments {
		t.Errorf("pastAnnouncements of %d addresses, %d of one, want %d and %d", addrs, of, maxPastAnnouncements, maxAssignments)
	}
	c.clock = 2 * time.Minute
	c.gone("shop/victim")
	c.clock = 3 * time.Minute
	for seen, want := range map[time.Duration]Endpoint{90 * time.Second: podNamed("victim"), 121 * time.Second: {Ambiguous: true}} {
		got := c.Lookup(addr("10.0.0.5"), noon().Add(seen))
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Endpoint{}, "IP")); diff != "" {
			t.Errorf("at %v (-want +got):\n%s", seen, diff)
		}
	}
	c.clock = time.Hour
	c.tell(madePod("later", "10.0.0.7"))
	if n := len(c.history.pastAnnouncements.byAddr); n != 0 {
		t.Errorf("%d addresses have pastAnnouncements an hour later", n)
	}
}

// However many pods announce an address, and whatever they write, the index
// keeps two of each, in constant time.
func TestAnnouncementsAreBounded(t *testing.T) {
	const pods = 20_000
	c := newTeller(t, Config{})
	c.nodes.replace(nil, nodeEntry(calicoNode()))
	many := strings.TrimSuffix(strings.Repeat("10.0.0.5,", 255<<10/9), ",")
	for i := range pods {
		c.tell(announcer(fmt.Sprint("evil-", i), "10.0.0.5/32,fd00::5/128"))
	}
	c.tell(announcer("worse", many))
	if n := len(c.history.announced); n != 2 {
		t.Errorf("%d addresses are announced, want 2", n)
	}
	for name := range c.known {
		c.gone(name)
	}
	if n := len(c.history.announced); n != 0 {
		t.Errorf("%d addresses are announced after all pods are gone", n)
	}
}
