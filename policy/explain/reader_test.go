package explain

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// TestViews checks what the owners of both ends and of the node may read. The traffic goes
// from a pod of shop to a pod of bank. shop must not learn bank's secret policies, and bank
// must not learn shop's "inner" policies.
func TestViews(t *testing.T) {
	policyOf := func(namespace, name string, way networkingv1.PolicyType) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(noon().Add(-time.Hour))},
			Spec:       networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{way}},
		}
	}
	in, out := policyOf("bank", "secret", networkingv1.PolicyTypeIngress), policyOf("shop", "inner", networkingv1.PolicyTypeEgress)
	lately := policyOf("bank", "secret-allow", networkingv1.PolicyTypeIngress)
	lately.CreationTimestamp = metav1.NewTime(noon().Add(-12 * time.Second))
	lately.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
	k3s := func(name string) dialect.PrefixInfo {
		return dialect.PrefixInfo{Action: dialect.Denied, Kind: "NetworkPolicy", Policy: name}
	}
	const someone = "denied by a NetworkPolicy in namespace "
	tests := []struct {
		name                    string
		prefix                  string
		dialect                 dialect.Dialect
		infos                   []dialect.PrefixInfo
		policies                []*networkingv1.NetworkPolicy
		text                    string
		shop, bank, node        string
		hideShop, hideBank, all bool // hide the prefix; all: from the node's readers too
	}{
		{name: "ingress", policies: []*networkingv1.NetworkPolicy{in},
			text: "denied by NetworkPolicy bank/secret (no rule allows it)",
			shop: someone + "bank", bank: "denied by NetworkPolicy bank/secret (no rule allows it)", node: someone + "bank"},
		{name: "egress", policies: []*networkingv1.NetworkPolicy{out},
			text: "denied by NetworkPolicy shop/inner (no egress rule allows it)",
			shop: "denied by NetworkPolicy shop/inner (no egress rule allows it)", bank: someone + "shop", node: someone + "shop"},
		{name: "both", policies: []*networkingv1.NetworkPolicy{in, out},
			text: "denied by NetworkPolicy bank/secret (no rule allows it), and by NetworkPolicy shop/inner (no egress rule allows it)",
			shop: someone + "bank, and by NetworkPolicy shop/inner (no egress rule allows it)",
			bank: "denied by NetworkPolicy bank/secret (no rule allows it), and by a NetworkPolicy in namespace shop",
			node: someone + "bank, and by a NetworkPolicy in namespace shop"},
		{name: "allowed lately", policies: []*networkingv1.NetworkPolicy{in, lately},
			text: "allowed since 12 s ago by NetworkPolicy bank/secret-allow",
			shop: "allowed since 12 s ago by a NetworkPolicy in namespace bank", bank: "allowed since 12 s ago by NetworkPolicy bank/secret-allow",
			node: "allowed since 12 s ago by a NetworkPolicy in namespace bank"},
		{name: "k3s", infos: []dialect.PrefixInfo{k3s("bank/secret"), k3s("bank/secret-2"), k3s("shop/inner")},
			text: "denied by NetworkPolicy bank/secret, bank/secret-2, shop/inner",
			shop: someone + "bank, NetworkPolicy shop/inner",
			bank: "denied by NetworkPolicy bank/secret, bank/secret-2, a NetworkPolicy in namespace shop",
			node: someone + "bank, a NetworkPolicy in namespace shop"},
		{name: "Calico", prefix: "DPI0|np/bank/secret", text: "denied by Calico NetworkPolicy bank/secret",
			shop: "denied by a Calico NetworkPolicy in namespace bank", bank: "denied by Calico NetworkPolicy bank/secret",
			node: "denied by a Calico NetworkPolicy in namespace bank", hideShop: true, all: true},
		{name: "Calico's cluster-wide policy", prefix: "DPI0|gnp/default.foo", text: "denied by Calico GlobalNetworkPolicy default.foo",
			shop: "denied by Calico GlobalNetworkPolicy default.foo", bank: "denied by Calico GlobalNetworkPolicy default.foo",
			node: "denied by Calico GlobalNetworkPolicy default.foo"},
		{name: "a profile", prefix: "DRI0|ksa.bank.secret", text: "denied by Calico profile ksa.bank.secret",
			shop: "denied by a Calico profile in namespace bank", bank: "denied by Calico profile ksa.bank.secret",
			node: "denied by a Calico profile in namespace bank", hideShop: true, all: true},
		{name: "a prefix that is not read", prefix: "DROP by policy bank/secret", dialect: dialect.Plain, hideShop: true, hideBank: true, all: true},
		{name: "a prefix of the platform's", prefix: "deny: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules, err := dialect.NewParser(tt.dialect, "")
			if err != nil {
				t.Fatal(err)
			}
			e, err := New(Config{NodeName: "n1", Rules: rules, Now: noon, NamespaceOnly: true}, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range tt.policies {
				r, err := policy.Compile(p)
				if err != nil {
					t.Fatal(err)
				}
				e.policies.Put(r)
			}
			front, vault := pod("front", "app=front"), pod("vault", "app=vault")
			vault.Namespace = "bank"
			f := flow.Flow{Prefix: tt.prefix, Protocol: decode.TCP, HasPorts: true, DestinationPort: 80, TCPFlags: decode.SYN}
			var told policy.Reason
			if query, ok := e.query(&f, &front, &vault); ok && tt.policies != nil {
				a := e.policies.Evaluate(&query)
				told = e.tell(&f, tt.infos, &a, &front, &vault)
			} else {
				told = e.Explain(&f, &front, &vault, tt.infos)
			}
			if told.Text != tt.text {
				t.Errorf("the platform reads %q, want %q", told.Text, tt.text)
			}
			want := map[string]policy.View{
				"shop": {Text: tt.shop, HidePrefix: tt.hideShop},
				"bank": {Text: tt.bank, HidePrefix: tt.hideBank},
				"node": {Text: tt.node, HidePrefix: tt.all},
			}
			if diff := cmp.Diff(want, map[string]policy.View{"shop": told.Source, "bank": told.Destination, "node": told.Node}); diff != "" {
				t.Errorf("views, -want +got:\n%s", diff)
			}
			if strings.Contains(told.Source.Text, "secret") || strings.Contains(told.Destination.Text, "inner") {
				t.Errorf("the views tell what they may not: %q, %q", told.Source.Text, told.Destination.Text)
			}
		})
	}
}

// TestViewOfAnUnnamedRule checks the text for a rule without a policy. It must not contain
// a prefix that the reader may not know.
func TestViewOfAnUnnamedRule(t *testing.T) {
	rules, err := dialect.NewParser(dialect.Plain, "")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{NodeName: "n1", Rules: rules, Now: noon, NamespaceOnly: true}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	front, vault := pod("front", "app=front"), resolve.Endpoint{Kind: resolve.Pod, Namespace: "bank", Name: "vault"}
	f := flow.Flow{Prefix: "DROP by policy bank/secret", Protocol: decode.TCP, HasPorts: true, DestinationPort: 80, TCPFlags: decode.SYN}
	query, _ := e.query(&f, &front, &vault)
	a := e.policies.Evaluate(&query)
	if got, want := e.tell(&f, nil, &a, &front, &vault).Source.Text, "no NetworkPolicy selects either pod; a rule on node n1 denies this"; got != want {
		t.Errorf("the sender's owners read %q, want %q", got, want)
	}
}
