package test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// allowing returns a policy that isolates the pods with app=api. It allows every pod of the
// namespace to reach a port, or no port if port is 0.
func (s *scene) allowing(name string, port int32) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		},
	}
	if port != 0 {
		number := intstr.FromInt32(port)
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
			Ports: []networkingv1.NetworkPolicyPort{{Port: &number}},
			From:  []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}},
		}}
	}
	return p
}

func (s *scene) createPolicy(t *testing.T, p *networkingv1.NetworkPolicy) {
	t.Helper()
	if _, err := s.plane.Client().NetworkingV1().NetworkPolicies(s.namespace).Create(s.ctx, p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// createAPI creates a pod with labels and a named port, and attaches it to the node.
func (s *scene) createAPI(t *testing.T) end {
	t.Helper()
	at := s.attach(t, "api", v4(s.server.v4, 8), v6(s.server.v6, 8))
	pod := controlplane.Pod{
		Namespace: s.namespace, Name: "api", Node: s.nodeName, Addresses: []netip.Addr{at.v4, at.v6},
		Labels: map[string]string{"app": "api", "tier": "back"},
	}
	if _, err := s.plane.CreatePod(s.ctx, pod); err != nil {
		t.Fatal(err)
	}
	return at
}

// v4 and v6 return another address in the network of an address.
func v4(a netip.Addr, host byte) netip.Addr {
	b := a.As4()
	b[3] = host
	return netip.AddrFrom4(b)
}

func v6(a netip.Addr, host byte) netip.Addr {
	b := a.As16()
	b[15] = host
	return netip.AddrFrom16(b)
}

// TestExplain expects events and lines with the policies of a real API server that deny a
// flow. Changes of the policies change the reason.
func TestExplain(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	at := s.createAPI(t)
	denying := *s
	denying.server = at
	s.run(t, nftables(&denying, `log prefix "deny" group 100`, "drop")[0]...)
	s.createPolicy(t, s.allowing("api-ingress", 9090))
	s.createPolicy(t, s.allowing("default-deny", 0))
	a := s.startReady(t, agent.Config{Args: []string{"--explain"}})

	b := s.tcp(8080, 3)
	b.Destination = at.v4
	system.Must(t, s.client.Send(b.Packet, b.count))
	denied := fmt.Sprintf("denied by NetworkPolicy %s/api-ingress, %[1]s/default-deny (no rule allows it; nearest: api-ingress allows port 9090/TCP from it)", s.namespace)
	event := func(packets int, why string) event {
		return s.dropped(packets, fmt.Sprintf(`Packet dropped when receiving traffic from %s/client (%s) on port 8080/TCP (NFLOG prefix "deny"): %s.`,
			s.namespace, s.client.v4, why))
	}
	s.awaitEvents(t, "api", event(3, denied))
	lines, err := a.Lines()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if diff := gocmp.Diff([]string{s.namespace + "/api-ingress", s.namespace + "/default-deny"}, l.Policies); l.Reason != denied || diff != "" {
			t.Errorf("a line's reason is %q, its policies -want +got:\n%s", l.Reason, diff)
		}
	}
	if raw := a.RawLines(); len(raw) == 0 || !strings.HasSuffix(raw[0], `"]}`) || !slices.ContainsFunc(raw, func(l string) bool {
		return strings.Contains(l, `"tcpFlags":"SYN","reasonCode":"denied_ingress","reason":`)
	}) {
		t.Errorf("reason and policies are not the lines' last fields: %q", raw)
	}

	// Now a policy allows the flow, but the node's rule still drops it. The reason changes.
	s.createPolicy(t, s.allowing("api-more", 8080))
	s.awaitMetric(t, a, 3, "kube_nflog_networkpolicies")
	system.Must(t, s.client.Send(b.Packet, b.count))
	system.Must(t, a.Stop(s.ctx))
	events := s.listEvents(t, "api")
	if len(events) != 1 || events[0].Count != 6 || !strings.Contains(events[0].Message, "allowed since ") ||
		!strings.Contains(events[0].Message, "by NetworkPolicy "+s.namespace+"/api-more.") {
		t.Errorf("events after a policy that allows it came: %+v", events)
	}
}

// TestExplainWithoutRights runs an agent that may not read policies. It becomes ready and
// works without them.
func TestExplainWithoutRights(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	s.run(t, nftables(s, `log prefix "deny" group 100`, "drop")[0]...)
	account := s.accountWithout(t, "networkpolicies")
	a := s.startReady(t, agent.Config{Args: []string{"--explain"}, Kubeconfig: account})
	b := s.tcp(8080, 3)
	system.Must(t, s.client.Send(b.Packet, b.count))
	system.Must(t, a.Stop(s.ctx))
	s.wantEvents(t, "server", s.received(b, ` (NFLOG prefix "deny")`))
	if log := a.Log(); !strings.Contains(log, "--explain=false") {
		t.Errorf("the log does not say how to turn it off:\n%s", log)
	}
}

// accountWithout creates a service account with the agent's rights, except for those on a
// resource. It returns its kubeconfig.
func (s *scene) accountWithout(t *testing.T, resource string) string {
	t.Helper()
	client := s.plane.Client()
	role, err := client.RbacV1().ClusterRoles().Get(s.ctx, "kube-nflog", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := "without-" + resource + "-" + s.namespace
	less := role.DeepCopy()
	less.ObjectMeta = metav1.ObjectMeta{Name: name}
	for i := range less.Rules {
		less.Rules[i].Resources = slices.DeleteFunc(less.Rules[i].Resources, func(r string) bool { return r == resource })
	}
	less.Rules = slices.DeleteFunc(less.Rules, func(r rbacv1.PolicyRule) bool { return len(r.Resources) == 0 })
	if _, err = client.RbacV1().ClusterRoles().Create(s.ctx, less, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	account := types.NamespacedName{Namespace: s.namespace, Name: name}
	if _, err = client.CoreV1().ServiceAccounts(s.namespace).Create(s.ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.namespace, Name: name}},
	}
	if _, err = client.RbacV1().ClusterRoleBindings().Create(s.ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := s.plane.ServiceAccountKubeconfig(s.ctx, account)
	if err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}
