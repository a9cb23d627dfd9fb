package resolve

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// The hostile tenant of the random cluster may write the pods and Services of one
// namespace, on every node. At any time it writes arbitrary values into the annotation by
// which Calico announces addresses, and into the external addresses of Services.
const tenantNamespace = "evil"

// tenant holds what the tenant has written in addition to its pods.
type tenant struct {
	services map[string]*corev1.Service
	handler  cache.ResourceEventHandler
}

// bait is an address that no pod has, and that the tenant claims.
type bait struct {
	address string
	kind    Kind // its true kind
}

// baits returns addresses that no pod has.
func (c *churn) baits() []bait {
	baits := []bait{{"203.0.113.5", External}, {"192.168.0.77", External}, {"192.168.0.1", Node}, {"192.168.0.2", Node}, {"10.96.0.1", Service}}
	if c.calico {
		baits = append(baits, bait{"10.0.0.30", Node}) // the end of a tunnel, with an address from the range of pods
	}
	return baits
}

// claimed returns an address that the tenant claims.
func (c *churn) claimed() string {
	if c.rng.IntN(4) != 0 {
		return c.addrs[c.rng.IntN(len(c.addrs))].String()
	}
	baits := c.baits()
	return baits[c.rng.IntN(len(baits))].address
}

// lie writes the annotations of one of the tenant's pods.
func (c *churn) lie() {
	p := c.any(func(p *livePod) bool { return p.hostile && p.remove != math.MaxInt64 })
	if p == nil {
		return
	}
	c.tally.Lies++
	value := c.claimed() + "/32"
	switch c.rng.IntN(12) {
	case 0:
		value = "" // the address is given back
	case 1:
		value += ",fd00::5/128"
	case 2:
		value = strings.Join([]string{value, c.claimed(), c.claimed()}, ",")
	case 3:
		value = c.claimed()
	}
	p.object.Annotations[annotationCalico], p.object.Annotations["cni.projectcalico.org/podIP"] = value, value
	if c.rng.IntN(12) == 0 {
		clear(p.object.Annotations)
	}
	c.tell(p)
}

// removeIdle deletes one of the tenant's pods without an address.
func (c *churn) removeIdle() {
	p := c.any(func(p *livePod) bool { return p.hostile && !p.addr.IsValid() })
	if p != nil {
		c.gone(p)
		c.drop(p)
	}
}

// claimByService writes a Service of the tenant.
func (c *churn) claimByService() {
	if c.tenant.services == nil {
		c.tenant = tenant{services: map[string]*corev1.Service{}, handler: indexHandler(c.resolver.services)}
		c.tenant.handler.OnAdd(serviceEntry(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "kubernetes"}, Spec: corev1.ServiceSpec{ClusterIP: "10.96.0.1"},
		}), false)
	}
	c.tally.Services++
	o := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: tenantNamespace, Name: fmt.Sprintf("web-%d", c.rng.IntN(4))}}
	o.Spec.ClusterIP = "10.96.0.1" + o.Name[len(o.Name)-1:]
	o.Spec.ClusterIPs = []string{o.Spec.ClusterIP}
	o.Spec.LoadBalancerIP = c.claimed()
	for range 1 + c.rng.IntN(3) {
		o.Spec.ExternalIPs = append(o.Spec.ExternalIPs, c.claimed())
	}
	old := c.tenant.services[o.Name]
	c.tenant.services[o.Name] = o
	if old == nil {
		c.tenant.handler.OnAdd(serviceEntry(o), false)
	} else {
		c.tenant.handler.OnUpdate(serviceEntry(old), serviceEntry(o))
	}
}

// askTenant asks about addresses that no pod has and that the tenant claims.
func (c *churn) askTenant() {
	if c.tenant.services == nil || c.rng.IntN(8) != 0 {
		return
	}
	for _, b := range c.baits() {
		at := time.Unix(0, c.wallAt(c.now-int64(c.upTo(10*time.Second))))
		e, again := c.resolver.LookupBetween(netip.MustParseAddr(b.address), at, at)
		if e.Kind != b.kind && (e.Kind != Unknown || again == 0) {
			c.tally.Wrong++
			c.t.Errorf("%s answered %+v, is a %v", b.address, e, b.kind)
		}
	}
}

// isOfTenant reports whether an answer names a pod of the tenant without harm to others:
// nobody had the address, or another pod of the tenant had it. Until its status has an
// address, a pod that is the only one to announce an address is believed.
func (c *churn) isOfTenant(q question, e Endpoint) bool {
	if e.Kind != Pod || e.Namespace != tenantNamespace {
		return false
	}
	result := &c.tally.Vacant
	for _, at := range []int64{q.first, q.last} {
		switch truth := c.ownerAt(q.addr, at); {
		case truth == "" && c.calico, truth == e.UID:
		case strings.HasPrefix(truth, tenantNamespace) && c.calico:
			result = &c.tally.AmongTenant
		default:
			return false
		}
	}
	if !c.isWrong(e.UID, q.addr, q.first) && !c.isWrong(e.UID, q.addr, q.last) {
		return false // the address was its own
	}
	*result++
	return true
}
