package policy

import (
	"fmt"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func intOrString(n int32) *intstr.IntOrString {
	v := intstr.FromInt32(n)
	return &v
}

// typical is a policy as applications have it: two rules, a port each, peers
// by pod, by namespace and by block.
func typical(tb testing.TB, namespace string, i int) *networkingv1.NetworkPolicy {
	return parse(tb, fmt.Sprintf(`
metadata: {name: policy-%d, namespace: %s}
spec:
  podSelector: {matchLabels: {app: api, tier: back}}
  policyTypes: [Ingress, Egress]
  ingress:
  - ports: [{port: 9090, protocol: TCP}]
    from:
    - podSelector: {matchLabels: {app: client-%d}}
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ns-%d}}
  egress:
  - ports: [{port: 443, protocol: TCP}]
    to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/29]}}]
`, i, namespace, i, i))
}

func fill(tb testing.TB, policies, namespaces int) *Set {
	tb.Helper()
	s := newSet(tb)
	for i := range policies {
		namespace := "shop"
		if n := i % namespaces; n > 0 {
			namespace = fmt.Sprintf("ns-%d", n)
		}
		r, err := NewRecord(typical(tb, namespace, i))
		if err != nil {
			tb.Fatal(err)
		}
		s.Put(r)
	}
	return s
}

// BenchmarkEvaluate judges a flow that every policy of the namespace selects
// and none allows, the dearest there is, among 1,000 policies.
func BenchmarkEvaluate(b *testing.B) {
	for _, namespaces := range []int{50, 1} {
		b.Run(fmt.Sprintf("policies=1000/namespaces=%d", namespaces), func(b *testing.B) {
			s := fill(b, 1000, namespaces)
			flow := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
			b.ReportAllocs()
			for b.Loop() {
				if s.Evaluate(&flow).Ingress.Verdict != Denied {
					b.Fatal("not denied")
				}
			}
		})
	}
}

// BenchmarkHeld reports the memory that a policy takes.
func BenchmarkHeld(b *testing.B) {
	const policies = 1000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := fill(b, policies, 50)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/policies, "B/policy")
		runtime.KeepAlive(s)
	}
}
