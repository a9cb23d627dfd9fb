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

// typical returns a usual policy of an application: two rules with a port each, and peers
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

// byExpressions returns a policy for which no single label or number can rule out a peer or
// a port.
func byExpressions(tb testing.TB, namespace string, i int) *networkingv1.NetworkPolicy {
	return parse(tb, fmt.Sprintf(`
metadata: {name: policy-%d, namespace: %s}
spec:
  podSelector: {matchExpressions: [{key: app, operator: In, values: [api, api-%d]}, {key: canary, operator: DoesNotExist}]}
  policyTypes: [Ingress, Egress]
  ingress:
  - ports: [{port: 9000, endPort: 9100, protocol: TCP}, {port: metrics, protocol: TCP}]
    from:
    - podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web-%d, frontend]}]}
    - namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [b, c-%d]}]}
`, i, namespace, i, i, i))
}

// byBlocks returns a policy whose peers are addresses.
func byBlocks(tb testing.TB, namespace string, i int) *networkingv1.NetworkPolicy {
	return parse(tb, fmt.Sprintf(`
metadata: {name: policy-%d, namespace: %s}
spec:
  podSelector: {}
  ingress:
  - ports: [{port: 9090, protocol: TCP}]
    from:
    - ipBlock: {cidr: 203.%d.0.0/16, except: [203.%d.1.0/24]}
    - ipBlock: {cidr: 198.51.%d.0/24}
`, i, namespace, i%256, i%256, i%256))
}

func fill(tb testing.TB, policies, namespaces int, policy func(testing.TB, string, int) *networkingv1.NetworkPolicy) *Set {
	tb.Helper()
	s := newSet(tb)
	for i := range policies {
		namespace := "shop"
		if n := i % namespaces; n > 0 {
			namespace = fmt.Sprintf("ns-%d", n)
		}
		r, err := Compile(policy(tb, namespace, i))
		if err != nil {
			tb.Fatal(err)
		}
		s.Put(r)
	}
	return s
}

// BenchmarkEvaluate evaluates a flow among 1,000 policies in the given number of
// namespaces. One namespace is the most expensive case: all policies select the pod, and
// none allows the flow.
func BenchmarkEvaluate(b *testing.B) {
	for _, bb := range []struct {
		name       string
		namespaces int
		policy     func(testing.TB, string, int) *networkingv1.NetworkPolicy
		source     End
	}{
		{"typical/namespaces=50", 50, typical, frontend()},
		{"typical/namespaces=1", 1, typical, frontend()},
		{"expressions/namespaces=1", 1, byExpressions, frontend()},
		{"blocks/namespaces=1", 1, byBlocks, outside("192.0.2.1")},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := fill(b, 1000, bb.namespaces, bb.policy)
			flow := Flow{Source: bb.source, Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
			if a := s.Evaluate(&flow).Ingress; a.Verdict != Denied || a.Count != 1000/bb.namespaces {
				b.Fatalf("%v by %d policies", a.Verdict, a.Count)
			}
			b.ReportAllocs()
			for b.Loop() {
				s.Evaluate(&flow)
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
		s := fill(b, policies, 50, typical)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/policies, "B/policy")
		runtime.KeepAlive(s)
	}
}
