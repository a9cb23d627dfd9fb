package explain

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/resolve"
)

func noon() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

func newExplainer(t testing.TB) *Explainer {
	t.Helper()
	rules, err := dialect.NewParser(dialect.Auto, "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{NodeName: "n1", Rules: rules, Now: noon}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func pod(name string, labels resolve.LabelSet) resolve.Endpoint {
	return resolve.Endpoint{IP: netip.MustParseAddr("10.0.0.5"), Kind: resolve.Pod, Namespace: "shop", Name: name, Labels: labels, Ports: "http=8080/TCP"}
}

// isolated returns a policy for the pods with app=api, created an hour ago.
func isolated(name string, rules ...networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(noon().Add(-time.Hour))},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "api"}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: rules,
		},
	}
}

func port(number int32) networkingv1.NetworkPolicyIngressRule {
	p := intstr.FromInt32(number)
	return networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{{Port: &p}}}
}

func from(app string) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{{
		PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}},
	}}}
}

// why returns the reason that the platform reads.
func why(code policy.ReasonCode, text string, policies ...string) policy.Reason {
	return policy.Reason{Code: code, Text: text, Policies: policies}
}

// TestReason checks the texts of reasons as they are in events.
func TestReason(t *testing.T) {
	egress := &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "front-out"},
		Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}},
	}
	recent := isolated("api-ingress", port(8080))
	recent.CreationTimestamp = metav1.NewTime(noon().Add(-12 * time.Second))
	many := []*networkingv1.NetworkPolicy{isolated("a"), isolated("b"), isolated("c"), isolated("d"), isolated("e"), isolated("f")}
	syn := flow.Flow{Protocol: decode.TCP, HasPorts: true, DestinationPort: 8080, TCPFlags: decode.SYN}
	answer := syn
	answer.TCPFlags |= decode.ACK
	data := syn
	data.TCPFlags, data.SourcePort = decode.ACK|decode.PSH, 40000
	back := data
	back.SourcePort, back.DestinationPort = data.DestinationPort, data.SourcePort
	long := strings.Repeat("long-", 45)
	with := func(prefix string) flow.Flow {
		f := syn
		f.Prefix = prefix
		return f
	}
	tests := []struct {
		name     string
		flow     flow.Flow
		infos    []dialect.PrefixInfo
		policies []*networkingv1.NetworkPolicy
		want     policy.Reason
	}{
		{"two policies, the port is another", syn, nil, []*networkingv1.NetworkPolicy{isolated("default-deny"), isolated("api-ingress", port(9090))},
			why(policy.ReasonDeniedIngress, "denied by NetworkPolicy shop/api-ingress, shop/default-deny (no rule allows it; nearest: api-ingress allows port 9090/TCP from it)",
				"shop/api-ingress", "shop/default-deny")},
		{"the peer is another", syn, nil, []*networkingv1.NetworkPolicy{isolated("api-ingress", from("web"))},
			why(policy.ReasonDeniedIngress, "denied by NetworkPolicy shop/api-ingress (no rule allows it; nearest: api-ingress allows this port from pods app=web)",
				"shop/api-ingress")},
		{"default deny", syn, nil, []*networkingv1.NetworkPolicy{isolated("default-deny")},
			why(policy.ReasonDeniedIngress, "denied by NetworkPolicy shop/default-deny (no rule allows it)", "shop/default-deny")},
		{"egress", syn, nil, []*networkingv1.NetworkPolicy{egress},
			why(policy.ReasonDeniedEgress, "denied by NetworkPolicy shop/front-out (no egress rule allows it)", "shop/front-out")},
		{"both ways", syn, nil, []*networkingv1.NetworkPolicy{egress, isolated("default-deny")},
			why(policy.ReasonDeniedBoth, "denied by NetworkPolicy shop/default-deny (no rule allows it), and by NetworkPolicy shop/front-out (no egress rule allows it)",
				"shop/default-deny", "shop/front-out")},
		{"many", syn, nil, many,
			why(policy.ReasonDeniedIngress, "denied by NetworkPolicy shop/a, shop/b, shop/c, shop/d and 2 more (no rule allows it)", "shop/a", "shop/b", "shop/c", "shop/d", "shop/e", "shop/f")},
		{"allowed, by a rule with a prefix", with("deny: "), nil, []*networkingv1.NetworkPolicy{isolated("api-ingress", port(8080))},
			why(policy.ReasonAllowed, `no NetworkPolicy denies this; rule "deny: " on node n1 does`)},
		{"allowed", syn, nil, []*networkingv1.NetworkPolicy{isolated("api-ingress", port(8080))},
			why(policy.ReasonAllowed, "no NetworkPolicy denies this; a rule on node n1 does")},
		{"allowed lately", syn, nil, []*networkingv1.NetworkPolicy{isolated("default-deny"), recent},
			why(policy.ReasonAllowedLately, "allowed since 12 s ago by NetworkPolicy shop/api-ingress")},
		{"allowed by the first policy of all", syn, nil, []*networkingv1.NetworkPolicy{recent},
			why(policy.ReasonAllowed, "no NetworkPolicy denies this; a rule on node n1 does")},
		{"long names", syn, nil, []*networkingv1.NetworkPolicy{isolated(long + "a"), isolated(long+"b", port(9090)), isolated(long + "c")},
			why(policy.ReasonDeniedIngress, "denied by NetworkPolicy shop/"+long+"a and 2 more (no rule allows it; nearest: "+long+"b allows port 9090/TCP from it)",
				"shop/"+long+"a", "shop/"+long+"b", "shop/"+long+"c")},
		{"data on its way to the server", data, nil, []*networkingv1.NetworkPolicy{isolated("default-deny")},
			why(policy.ReasonDeniedIngress, "denied by NetworkPolicy shop/default-deny (no rule allows it)", "shop/default-deny")},
		{"data on its way back", back, nil, []*networkingv1.NetworkPolicy{isolated("default-deny")}, policy.Reason{Code: policy.ReasonUnknown}},
		{"no policy", with("deny: "), nil, nil,
			why(policy.ReasonUnselected, `no NetworkPolicy selects either pod; rule "deny: " on node n1 denies this`)},
		{"the API knows better than k3s's rules", syn, []dialect.PrefixInfo{{Kind: "NetworkPolicy", Policy: "shop/default-deny"}},
			[]*networkingv1.NetworkPolicy{isolated("default-deny")},
			why(policy.ReasonDeniedIngress, "denied by NetworkPolicy shop/default-deny (no rule allows it)", "shop/default-deny")},
		{"Calico's own policy", with("DPI0|gnp/default.foo"), nil, nil,
			why(policy.ReasonRule, "denied by Calico GlobalNetworkPolicy default.foo; no NetworkPolicy selects either pod", "default.foo")},
		{"an answer", answer, nil, []*networkingv1.NetworkPolicy{isolated("default-deny")}, policy.Reason{Code: policy.ReasonUnknown}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newExplainer(t)
			for _, p := range tt.policies {
				r, err := policy.Compile(p)
				if err != nil {
					t.Fatal(err)
				}
				e.policies.Put(r)
			}
			front, api := pod("frontend", "app=frontend"), pod("api", "app=api")
			got := e.ruleReason(reader{platform: true}, tt.flow.Prefix, tt.infos)
			if query, ok := e.query(&tt.flow, &front, &api); ok {
				a := e.policies.Evaluate(&query)
				got = e.combine(reader{platform: true}, &a, got, tt.flow.Prefix)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if len(got.Text) > 900 || strings.ContainsAny(got.Text, "\n") {
				t.Errorf("%d bytes: %s", len(got.Text), got.Text)
			}
		})
	}
}

// TestPartialPod checks that there is no reason for a pod whose labels are not all known.
func TestPartialPod(t *testing.T) {
	e := newExplainer(t)
	front, api := pod("frontend", "app=frontend"), pod("api", "")
	api.Partial = true
	f := flow.Flow{Protocol: decode.TCP, HasPorts: true, DestinationPort: 8080, TCPFlags: decode.SYN}
	for name, ends := range map[string][2]*resolve.Endpoint{"destination": {&front, &api}, "source": {&api, &front}} {
		if query, ok := e.query(&f, ends[0], ends[1]); ok {
			t.Errorf("with such a %s there is a query: %+v", name, query)
		}
	}
}

// TestExempt checks that the node's rule is named for traffic that no policy can deny.
func TestExempt(t *testing.T) {
	e := newExplainer(t)
	r, err := policy.Compile(isolated("default-deny"))
	if err != nil {
		t.Fatal(err)
	}
	e.policies.Put(r)
	node, api := resolve.Endpoint{Kind: resolve.Node, Name: "n1", IP: netip.MustParseAddr("192.168.0.1")}, pod("api", "app=api")
	api.NodeName = "n1"
	query, ok := e.query(&flow.Flow{Protocol: decode.TCP, HasPorts: true, DestinationPort: 8080, TCPFlags: decode.SYN}, &node, &api)
	if !ok {
		t.Fatal("not judged")
	}
	a := e.policies.Evaluate(&query)
	want :=
		why(policy.ReasonAllowed, "no NetworkPolicy may deny traffic between a pod and itself or its own node; a rule on node n1 does")
	if diff := cmp.Diff(want, e.combine(reader{platform: true}, &a, policy.Reason{}, "")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRuleReason checks the reasons without the API server.
func TestRuleReason(t *testing.T) {
	e := newExplainer(t)
	k3s := []dialect.PrefixInfo{
		{Action: dialect.Denied, Kind: "NetworkPolicy", Policy: "shop/a"},
		{Action: dialect.Denied, Kind: "NetworkPolicy", Policy: "shop/long", Cut: true},
	}
	tests := []struct {
		prefix string
		infos  []dialect.PrefixInfo
		want   policy.Reason
	}{
		{"", nil, policy.Reason{Code: policy.ReasonUnknown}},
		{"deny: ", nil, policy.Reason{Code: policy.ReasonUnknown}},
		{"", k3s,
			why(policy.ReasonRule, "denied by NetworkPolicy shop/a, shop/long…", "shop/a")},
		{"DPE1|np/shop/default.foo", nil,
			why(policy.ReasonRule, "denied by Calico NetworkPolicy shop/default.foo", "shop/default.foo")},
		{"DPI|default", nil,
			why(policy.ReasonRule, "denied by Calico tier default", "default")},
		{"DRE", nil,
			why(policy.ReasonRule, "denied by Calico profile")},
	}
	for _, tt := range tests {
		got := e.Explain(&flow.Flow{Prefix: tt.prefix, Packets: 1}, &resolve.Endpoint{}, &resolve.Endpoint{}, tt.infos)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q, -want +got:\n%s", tt.prefix, diff)
		}
	}
}
