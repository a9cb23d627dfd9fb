package policy

import (
	"net/netip"
	"testing"
	"time"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"
)

// ports maps the names of a pod's container ports to "number/protocol".
type ports map[string]struct {
	number   uint16
	protocol string
}

func (p ports) NamesOf(protocol string, number uint16) (names []string) {
	for name, port := range p {
		if port.number == number && port.protocol == protocol {
			names = append(names, name)
		}
	}
	return names
}

// noon is the time of the clock in tests.
func noon() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

// newPod returns a pod of a namespace on node n1.
func newPod(namespace, name, address string, set labels.Set) End {
	return End{
		Kind: Pod, Addr: netip.MustParseAddr(address), Namespace: namespace, Name: name, Labels: set, NodeName: "n1",
		Ports: ports{"http": {8080, "TCP"}, "dns": {53, "UDP"}, "sig": {2905, "SCTP"}},
	}
}

func api() End {
	return newPod("shop", "api", "10.0.1.7", labels.Set{"app": "api", "tier": "back"})
}

func frontend() End {
	return newPod("shop", "frontend", "10.0.0.5", labels.Set{"app": "frontend", "tier": "front"})
}

func grafana() End {
	return newPod("metrics", "grafana", "10.0.2.9", labels.Set{"app": "grafana"})
}

func outside(address string) End {
	return End{Kind: Outside, Addr: netip.MustParseAddr(address)}
}

func node(name, address string) End {
	return End{Kind: Node, NodeName: name, Addr: netip.MustParseAddr(address)}
}

// newSet returns a Set with the policies and the namespaces of the tests.
func newSet(t testing.TB, policies ...string) *Set {
	t.Helper()
	s := NewSet(noon)
	s.PutNamespace("shop", map[string]string{"kubernetes.io/metadata.name": "shop", "team": "a"})
	s.PutNamespace("metrics", map[string]string{"kubernetes.io/metadata.name": "metrics", "team": "b", "kind": "infra"})
	for _, text := range policies {
		r, err := Compile(parse(t, text))
		if err != nil {
			t.Fatal(err)
		}
		s.Put(r)
	}
	return s
}

// parse parses a policy. Its default namespace is shop.
func parse(t testing.TB, text string) *networkingv1.NetworkPolicy {
	t.Helper()
	var p networkingv1.NetworkPolicy
	if err := yaml.UnmarshalStrict([]byte(text), &p); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	if p.Namespace == "" {
		p.Namespace = "shop"
	}
	return &p
}
