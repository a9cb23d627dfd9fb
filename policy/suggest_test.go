package policy

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// TestSuggest shows suggestions as they would be applied.
func TestSuggest(t *testing.T) {
	deployed := frontend()
	deployed.Labels = labels.Set{"app": "frontend", "pod-template-hash": "5b9"}
	canary := frontend()
	canary.Name, canary.Labels = "canary", labels.Set{"app": "frontend", "track": "canary", "pod-template-hash": "7c4"}
	bare := frontend()
	bare.Name, bare.Labels = "bare", nil
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
		{"a pod without labels to the outside", Flow{Source: bare, Destination: outside("2001:db8::1"), Protocol: corev1.ProtocolUDP, Port: 53}, []string{`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-egress-53-udp-2f1a62b7, namespace: shop}
spec:
  podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}
  policyTypes: [Egress]
  egress:
  - to: [{ipBlock: {cidr: "2001:db8::1/128"}}]
    ports: [{port: 53, protocol: UDP}]
`}},
	}
	pods := []End{deployed, canary, bare, api(), grafana()}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSet(t, denyIngress, denyEgress)
			answer := s.Evaluate(&tt.flow)
			got, err := Suggest(&tt.flow, &answer, pods)
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("%d suggestions, %v; want %d", len(got), err, len(tt.want))
			}
			for i, p := range got {
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

func TestSuggestCannot(t *testing.T) {
	web := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	ping, service, pending := web, web, web
	pending.Source = node("n2", "192.168.0.2")
	pending.Source.Addr = netip.Addr{}
	ping.Protocol = "ICMP"
	service.Destination = End{Kind: Service, Addr: outside("10.96.0.1").Addr}
	tests := []struct {
		name     string
		flow     Flow
		policies []string
	}{
		{"nothing denied", web, nil},
		{"a protocol without ports", ping, []string{denyIngress}},
		{"a node without an address", pending, []string{denyIngress}},
		{"a Service", service, []string{denyEgress}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := newSet(t, tt.policies...).Evaluate(&tt.flow)
			if got, err := Suggest(&tt.flow, &answer, nil); err == nil {
				t.Errorf("suggests %v, want an error", got)
			}
		})
	}
}
