package explain

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/policy"
)

// TestEvaluate asks about all addresses of the ends. Only different answers get lines
// of their own.
func TestEvaluate(t *testing.T) {
	newPod := func(name, v4, v6 string) []policy.End {
		return podEnds(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": "api"}},
			Status:     corev1.PodStatus{PodIP: v4, PodIPs: []corev1.PodIP{{IP: v4}, {IP: v6}}},
		})
	}
	outside := func(address string) []policy.End {
		return []policy.End{{Kind: policy.Outside, Addr: netip.MustParseAddr(address)}}
	}
	block := func(cidr string) *networkingv1.NetworkPolicy {
		return &networkingv1.NetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "api"},
			Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{
				From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: cidr}}},
			}}},
		}
	}
	api, other := newPod("api", "10.0.1.7", "fd00::7"), newPod("api-2", "10.0.1.8", "fd00::8")
	client := newPod("client", "10.0.0.5", "fd00::5")
	tests := []struct {
		name    string
		from    []policy.End
		to      [][]policy.End
		allow   string
		want    []string // how the lines begin
		verdict policy.Verdict
	}{
		{"the same for both families", client, [][]policy.End{api}, "192.0.2.0/24", []string{"shop/client (10.0.0.5) → shop/api (10.0.1.7) on port 80/TCP: denied"}, policy.Denied},
		{"IPv4 alone is allowed", client, [][]policy.End{api}, "10.0.0.0/8", []string{
			"shop/client (10.0.0.5) → shop/api (10.0.1.7) on port 80/TCP: allowed", "shop/client (fd00::5) → shop/api (fd00::7) on port 80/TCP: denied",
		}, policy.Denied},
		{"two pods", client, [][]policy.End{api, other}, "192.0.2.0/24", []string{
			"shop/client (10.0.0.5) → shop/api (10.0.1.7), and 1 more pairs, on port 80/TCP: denied"}, policy.Denied},
		{"from outside", outside("2001:db8::1"), [][]policy.End{api}, "2001:db8::/32", []string{"2001:db8::1 → shop/api (fd00::7) on port 80/TCP: allowed"}, policy.Allowed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := snapshot{policies: policy.NewSet(nil)}
			r, err := policy.Compile(block(tt.allow))
			if err != nil {
				t.Fatal(err)
			}
			s.policies.Put(r)
			var connections []connection
			for _, to := range tt.to {
				for _, ends := range pairs(tt.from, to) {
					connections = append(connections, connection{Flow: policy.Flow{Source: ends[0], Destination: ends[1], Protocol: "TCP", Port: 80}})
				}
			}
			var b strings.Builder
			if got, err := (&Config{Out: &b}).print(s.evaluate(connections), &s); err != nil || got != tt.verdict {
				t.Errorf("%v, %v; want %v", got, err, tt.verdict)
			}
			lines := strings.Split(strings.TrimSpace(b.String()), "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("%d lines, want %d:\n%s", len(lines), len(tt.want), b.String())
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("%s, want %s…", lines[i], want)
				}
			}
		})
	}
}
