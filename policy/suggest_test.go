package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// TestSuggest compares suggestions with the expected YAML.
func TestSuggest(t *testing.T) {
	deployed := frontend()
	deployed.Labels = labels.Set{"app": "frontend", "pod-template-hash": "5b9"}
	canary := frontend()
	canary.Name, canary.Labels = "canary", labels.Set{"app": "frontend", "track": "canary", "pod-template-hash": "7c4"}
	tests := []struct {
		name string
		flow Flow
		want []string
	}{
		{"a pod of the same namespace, told from its canary", Flow{Source: deployed, Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}, []string{`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-ingress-8080-tcp-2f1a62b7, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api, tier: back}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: frontend}, matchExpressions: [{key: track, operator: DoesNotExist}]}}]
    ports: [{port: 8080, protocol: TCP}]
`, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-egress-8080-tcp-2f1a62b7, namespace: shop}
spec:
  podSelector: {matchLabels: {app: frontend}, matchExpressions: [{key: track, operator: DoesNotExist}]}
  policyTypes: [Egress]
  egress:
  - to: [{podSelector: {matchLabels: {app: api, tier: back}}}]
    ports: [{port: 8080, protocol: TCP}]
`}},
		{"a pod of another namespace", Flow{Source: grafana(), Destination: api(), Protocol: corev1.ProtocolSCTP, Port: 2905}, []string{`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-ingress-2905-sctp-2f1a62b7, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api, tier: back}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: grafana}}, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: metrics}}}]
    ports: [{port: 2905, protocol: SCTP}]
`}},
		{"to the outside", Flow{Source: deployed, Destination: outside("2001:db8::1"), Protocol: corev1.ProtocolUDP, Port: 53}, []string{`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-egress-53-udp-2f1a62b7, namespace: shop}
spec:
  podSelector: {matchLabels: {app: frontend}, matchExpressions: [{key: track, operator: DoesNotExist}]}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: "2001:db8::1/128"}}]
    ports: [{port: 53, protocol: UDP}]
`}},
	}
	pods := []End{deployed, canary, api(), grafana()}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSet(t, denyIngress, denyEgress)
			got, err := s.Suggest(&tt.flow, pods)
			if err != nil || len(got.Policies) != len(tt.want) || got.AlsoCount != 0 {
				t.Fatalf("%+v, %v; want %d policies", got, err, len(tt.want))
			}
			for i, p := range got.Policies {
				want := parse(t, tt.want[i])
				if len(p.Name) != len(want.Name) {
					t.Errorf("name %s, want one like %s", p.Name, want.Name)
				}
				want.Name = p.Name
				if diff := cmp.Diff(text(t, want), text(t, p)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			}
		})
	}
}

func text(t *testing.T, o any) string {
	t.Helper()
	b, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// statefulPod returns a pod of a StatefulSet.
func statefulPod(name, address string) End {
	return newPod("shop", name, address, labels.Set{"app": "db", "statefulset.kubernetes.io/pod-name": name})
}

// TestSuggestWithin checks that suggested policies select only pods that a denying policy
// selects. Other pods would lose what they may do today.
func TestSuggestWithin(t *testing.T) {
	const db0 = `{metadata: {name: db-0}, spec: {podSelector: {matchLabels: {app: db, statefulset.kubernetes.io/pod-name: db-0}}}}`
	tests := []struct {
		name     string
		policies []string
		want     string // the pod selector
		within   string
	}{
		{"a policy of one pod of a StatefulSet", []string{db0}, "app=db,statefulset.kubernetes.io/pod-name in (db-0)", "db-0"},
		{"a policy of all pods beside it", []string{db0, denyIngress}, "app=db", "deny-in"},
		{"a policy of all but one pod", []string{`{metadata: {name: but-1}, spec: {podSelector: {matchExpressions: [{key: statefulset.kubernetes.io/pod-name, operator: NotIn, values: [db-1]}]}}}`},
			"app=db,statefulset.kubernetes.io/pod-name notin (db-1)", "but-1"},
		{"a policy of pods without a label", []string{`{metadata: {name: no-tier}, spec: {podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}}}`}, "app=db,!tier", "no-tier"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSet(t, tt.policies...)
			asked, sibling := statefulPod("db-0", "10.0.1.10"), statefulPod("db-1", "10.0.1.11")
			flow := Flow{Source: frontend(), Destination: asked, Protocol: corev1.ProtocolTCP, Port: 5432}
			other := Flow{Source: grafana(), Destination: sibling, Protocol: corev1.ProtocolTCP, Port: 9187}
			before := s.Evaluate(&other)
			got, err := s.Suggest(&flow, []End{asked, sibling, frontend(), grafana()})
			if err != nil || len(got.Policies) != 1 {
				t.Fatalf("%+v, %v", got, err)
			}
			selector, err := metav1.LabelSelectorAsSelector(&got.Policies[0].Spec.PodSelector)
			if err != nil || selector.String() != tt.want || got.Within[0] != tt.within {
				t.Errorf("it selects %s within %s, %v; want %s within %s", selector, got.Within[0], err, tt.want, tt.within)
			}
			r, err := Compile(got.Policies[0])
			if err != nil {
				t.Fatal(err)
			}
			s.Put(r)
			if a := s.Evaluate(&flow); a.denied() {
				t.Errorf("it is still denied: %+v", a)
			}
			if after := s.Evaluate(&other); before.denied() != after.denied() {
				t.Errorf("%s was %v and is %v", other.Destination.Name, before.Ingress.Verdict, after.Ingress.Verdict)
			}
		})
	}
}

// TestSuggestAlso checks the list of what a suggestion allows in addition.
func TestSuggestAlso(t *testing.T) {
	s := newSet(t, denyIngress)
	ends := []End{api(), frontend()}
	for i := range 20 {
		next := frontend()
		next.Name, next.Addr = fmt.Sprintf("frontend-%02d", i), netip.AddrFrom4([4]byte{10, 0, 3, byte(i)})
		ends = append(ends, next)
	}
	got, err := s.Suggest(&Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}, ends)
	if err != nil || got.AlsoCount != 20 || len(got.Also) != MaxAlso || got.Also[0].Source.Name != "frontend-00" || got.AtLeast {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSuggestName checks that an existing policy with the same name that was changed is not
// overwritten.
func TestSuggestName(t *testing.T) {
	s := newSet(t, denyIngress)
	flow := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	got, err := s.Suggest(&flow, []End{api(), frontend()})
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, `{metadata: {name: `+got.Policies[0].Name+`}, spec: {podSelector: {}}}`, "2", noon())
	again, err := s.Suggest(&flow, []End{api(), frontend()})
	if err != nil || again.Policies[0].Name != got.Policies[0].Name+"-2" {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestSuggestCannot(t *testing.T) {
	web := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	ping, service, pending, bare, toBare := web, web, web, web, web
	pending.Source = node("n2", "192.168.0.2")
	pending.Source.Addr = netip.Addr{}
	ping.Protocol = "ICMP"
	service.Destination = End{Kind: Service, Addr: outside("10.96.0.1").Addr}
	bare.Source.Labels, toBare.Destination.Labels = nil, labels.Set{}
	tests := []struct {
		name     string
		flow     Flow
		policies []string
		want     string
	}{
		{"nothing denied", web, nil, "no NetworkPolicy denies this"},
		{"a protocol without ports", ping, []string{denyIngress}, "without allowing everything"},
		{"a node without an address", pending, []string{denyIngress}, "no address yet"},
		{"a Service", service, []string{denyEgress}, "not known which pods"},
		{"from a pod without labels", bare, []string{denyIngress}, "shop/frontend has no labels"},
		{"to a pod without labels", toBare, []string{denyIngress}, "shop/api has no labels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := newSet(t, tt.policies...).Suggest(&tt.flow, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("suggests %v, %v; want an error: %s", got, err, tt.want)
			}
		})
	}
}
