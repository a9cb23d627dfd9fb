package policy_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/kube-nflog/kube-nflog/policy"
)

// A Set answers what its policies make of a connection, and why.
func ExampleSet_Evaluate() {
	var o networkingv1.NetworkPolicy
	err := yaml.UnmarshalStrict([]byte(`
metadata: {namespace: shop, name: api-ingress}
spec:
  podSelector: {matchLabels: {app: api}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: frontend}}}]
    ports: [{port: 9090}]
`), &o)
	if err != nil {
		fmt.Println(err)
		return
	}
	compiled, err := policy.Compile(&o)
	if err != nil {
		fmt.Println("what is invalid matches nothing:", err)
	}
	set := policy.NewSet(nil)
	set.PutNamespace("shop", nil)
	set.Put(compiled)

	frontend := policy.End{Kind: policy.Pod, Namespace: "shop", Name: "frontend", Labels: labels.Set{"app": "frontend"}}
	api := policy.End{Kind: policy.Pod, Namespace: "shop", Name: "api", Labels: labels.Set{"app": "api"}}
	for _, port := range []uint16{8080, 9090} {
		answer := set.Evaluate(&policy.Flow{Source: frontend, Destination: api, Protocol: corev1.ProtocolTCP, Port: port})
		fmt.Println(port, answer.Ingress.Verdict, answer.Ingress.Policies)
		if nearest := answer.Ingress.Nearest; nearest != nil {
			fmt.Println("nearest:", nearest.Policy, "allows the peer at", nearest.Ports)
		}
	}
	// Output:
	// 8080 denied [api-ingress]
	// nearest: api-ingress allows the peer at 9090/TCP
	// 9090 allowed [api-ingress]
}
