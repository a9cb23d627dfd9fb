package explain

import (
	"fmt"
	"testing"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
)

// BenchmarkExplain explains a flow in a cluster with 1,000 policies, from its endpoints to
// the text. One fiftieth of the policies, or all of them, are in the flow's namespace. They
// select the pod, and none allows the flow.
func BenchmarkExplain(b *testing.B) {
	for _, namespaces := range []int{50, 1} {
		b.Run(fmt.Sprintf("namespaces=%d", namespaces), func(b *testing.B) {
			e := newExplainer(b)
			for i := range 1000 {
				p := isolated(fmt.Sprintf("policy-%d", i), port(9090), from(fmt.Sprintf("client-%d", i)))
				if n := i % namespaces; n > 0 {
					p.Namespace = fmt.Sprintf("ns-%d", n)
				}
				r, err := policy.Compile(p)
				if err != nil {
					b.Fatal(err)
				}
				e.policies.Put(r)
			}
			front, api := pod("frontend", "app=frontend,pod-template-hash=5b9,tier=front"), pod("api", "app=api,pod-template-hash=7c4,tier=back")
			f := flow.Flow{Protocol: decode.TCP, HasPorts: true, DestinationPort: 8080, TCPFlags: decode.SYN, Prefix: "deny: "}
			b.ReportAllocs()
			for b.Loop() {
				query, ok := e.query(&f, &front, &api)
				if !ok {
					b.Fatal("not judged")
				}
				a := e.policies.Evaluate(&query)
				if r := e.combine(reader{platform: true}, &a, e.ruleReason(reader{platform: true}, f.Prefix, nil), f.Prefix); r.Code != policy.ReasonDeniedIngress {
					b.Fatal(r)
				}
			}
		})
	}
}
