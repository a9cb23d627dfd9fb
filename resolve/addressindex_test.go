package resolve

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func serviceNamed(name string, change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	change(s)
	return s
}

// TestServiceAddresses checks that a Service is named for addresses that the cluster gave
// it, and not for those that its author wrote.
func TestServiceAddresses(t *testing.T) {
	clusterIP := func(s *corev1.Service) {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = "10.96.0.7", []string{"10.96.0.7", "fd96::7"}
	}
	ingress := func(ips ...string) func(*corev1.Service) {
		return func(s *corev1.Service) {
			for _, ip := range ips {
				s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
			}
		}
	}
	external := func(ips ...string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.ExternalIPs = ips }
	}
	r := newResolver(t, Config{}, madePod("victim", "10.0.0.5"))
	r.nodes.replace(nil, nodeEntry(calicoNode()))
	for _, s := range []*corev1.Service{
		serviceNamed("api", clusterIP),
		serviceNamed("balanced", ingress("203.0.113.8", "192.168.0.1")), // an address of a node, as with k3s
		serviceNamed("shared-a", ingress("203.0.113.9")),
		serviceNamed("shared-b", ingress("203.0.113.9")),
		serviceNamed("asked-for", ingress("10.96.0.7", "10.0.0.5")), // some load balancers give the requested address
		serviceNamed("evil", external("203.0.113.7", "203.0.113.8", "10.0.0.5", "10.96.0.7")),
	} {
		r.services.replace(nil, serviceEntry(s))
	}
	for address, want := range map[string]string{
		"10.96.0.7": "Service api", "fd96::7": "Service api", "203.0.113.8": "Service balanced", "203.0.113.9": "Unknown ",
		"192.168.0.1": "Node n1", "10.0.0.5": "Pod victim", "203.0.113.7": "External ",
	} {
		e := r.Lookup(addr(address), noon().Add(60e9))
		if got := fmt.Sprint(e.Kind, " ", e.Name); got != want {
			t.Errorf("%s is %q, want %q", address, got, want)
		}
	}
}

// TestListsAreBounded checks that only a part of a long list is read, and that this is
// counted.
func TestListsAreBounded(t *testing.T) {
	service := serviceNamed("evil", func(s *corev1.Service) {
		for i := range 60_000 {
			s.Spec.ExternalIPs = append(s.Spec.ExternalIPs, numbered(i).String())
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: numbered(i).String()})
			s.Spec.ClusterIPs = append(s.Spec.ClusterIPs, numbered(i).String())
		}
	})
	node := calicoNode()
	for i := range 60_000 {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Address: numbered(i).String()})
		node.Spec.PodCIDRs = append(node.Spec.PodCIDRs, numbered(i).String()+"/32")
	}
	var cut []string
	count := func(list string) { cut = append(cut, list) }
	s, err := stripped(serviceEntry, count)(service)
	if err != nil {
		t.Fatal(err)
	}
	n, err := stripped(nodeEntry, count)(node)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"addresses", "ingress", "addresses", "pod_cidrs"}, cut); diff != "" {
		t.Errorf("lists cut (-want +got):\n%s", diff)
	}
	for name, p := range map[string]any{"service": s, "node": n} {
		p, ok := p.(*indexEntry)
		if !ok {
			t.Fatalf("%s is stripped to %T", name, p)
		}
		if len(p.addrs) > maxNodeAddrs+calicoTunnelAddrs || len(p.ingress) > maxIngress || len(p.prefixes) > maxPodCIDRs+1 {
			t.Errorf("%s: %d addresses, %d of its load balancer, %d prefixes", name, len(p.addrs), len(p.ingress), len(p.prefixes))
		}
	}
}

// TestHolders checks many owners of one address, which are removed one by one.
func TestHolders(t *testing.T) {
	h, shared := holders[*indexEntry]{}, addr("203.0.113.9")
	addressIndex := make([]*indexEntry, 20_000)
	for i := range addressIndex {
		addressIndex[i] = &indexEntry{name: fmt.Sprint("shop/s", i)}
		h.add(shared, addressIndex[i])
		h.add(shared, addressIndex[i]) // a second time, as an update does
	}
	if _, n := h.get(shared); n != len(addressIndex) {
		t.Errorf("%d have the address, want %d", n, len(addressIndex))
	}
	for _, p := range addressIndex[1:] {
		h.remove(shared, p)
	}
	if p, n := h.get(shared); n != 1 || p != addressIndex[0] {
		t.Errorf("%v of %d has the address, want %v alone", p, n, addressIndex[0])
	}
	h.remove(shared, addressIndex[0])
	h.remove(netip.Addr{}, addressIndex[0])
	if len(h) != 0 {
		t.Errorf("%d addresses are left", len(h))
	}
}
