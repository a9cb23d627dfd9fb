package agreement

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/yaml"

	"github.com/kube-nflog/kube-nflog/policy"
)

const (
	clusters = 10_000
	flows    = 4 // in each cluster
)

// library is kube-network-policies, fed through the stores of informers that
// never run.
type library struct {
	policies, namespaces, pods cache.Indexer
	evaluator                  *networkpolicy.StandardNetworkPolicy
}

func newLibrary() *library {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	core, networking := factory.Core().V1(), factory.Networking().V1()
	return &library{
		policies: networking.NetworkPolicies().Informer().GetIndexer(), namespaces: core.Namespaces().Informer().GetIndexer(),
		pods:      core.Pods().Informer().GetIndexer(),
		evaluator: networkpolicy.NewStandardNetworkPolicy("n1", core.Namespaces(), core.Pods(), networking.NetworkPolicies()),
	}
}

func (l *library) take(t *testing.T, c *cluster) {
	t.Helper()
	replace(t, l.policies, c.policies)
	replace(t, l.namespaces, c.namespaces)
	replace(t, l.pods, c.pods)
}

func replace[T any](t *testing.T, store cache.Indexer, objects []T) {
	t.Helper()
	all := make([]any, 0, len(objects))
	for _, o := range objects {
		all = append(all, o)
	}
	if err := store.Replace(all, ""); err != nil {
		t.Fatal(err)
	}
}

// end is one end of a flow in both worlds.
type end struct {
	ours   policy.End
	theirs *api.PodInfo
}

// allows is what the library says of both directions.
func (l *library) allows(t *testing.T, source, destination end, protocol corev1.Protocol, port uint16) (ingress, egress bool) {
	t.Helper()
	p := &network.Packet{
		SrcIP: net.IP(source.ours.Addr.AsSlice()), DstIP: net.IP(destination.ours.Addr.AsSlice()),
		Proto: protocol, SrcPort: 54321, DstPort: int(port),
	}
	in, err := l.evaluator.EvaluateIngress(t.Context(), p, source.theirs, destination.theirs)
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.evaluator.EvaluateEgress(t.Context(), p, source.theirs, destination.theirs)
	if err != nil {
		t.Fatal(err)
	}
	return in != api.VerdictDeny, out != api.VerdictDeny
}

// newSet is our own view of the cluster.
func newSet(t *testing.T, c *cluster) *policy.Set {
	t.Helper()
	s := policy.NewSet(nil)
	for _, n := range c.namespaces {
		s.PutNamespace(n.Name, n.Labels)
	}
	for _, p := range c.policies {
		put(t, s, p)
	}
	return s
}

func put(t *testing.T, s *policy.Set, p *networkingv1.NetworkPolicy) {
	t.Helper()
	r, err := policy.NewRecord(p)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(r)
}

// containerPorts are a pod's.
type containerPorts []corev1.ContainerPort

func (p containerPorts) NamesOf(protocol string, port uint16) (names []string) {
	for i := range p {
		if string(p[i].Protocol) == protocol && p[i].ContainerPort == int32(port) {
			names = append(names, p[i].Name)
		}
	}
	return names
}

func (c *cluster) end(p *corev1.Pod) end {
	var ports containerPorts
	for i := range p.Spec.Containers {
		ports = append(ports, p.Spec.Containers[i].Ports...)
	}
	var labels map[string]string
	for _, n := range c.namespaces {
		if n.Name == p.Namespace {
			labels = n.Labels
		}
	}
	return end{
		ours: policy.End{
			Kind: policy.Pod, Addr: netip.MustParseAddr(p.Status.PodIP), Namespace: p.Namespace, Name: p.Name,
			Labels: p.Labels, Ports: ports, NodeName: p.Spec.NodeName,
		},
		theirs: api.NewPodInfo(p, labels, nil, ""),
	}
}

// anyEnd is a pod, or now and then something outside.
func (c *cluster) anyEnd() end {
	if c.chance(20) {
		return end{ours: policy.End{Kind: policy.Outside, Addr: pick(c, c.outside...)}}
	}
	return c.end(pick(c, c.pods...))
}

// flow is random, but none of a pod to itself.
func (c *cluster) flow() (source, destination end, f policy.Flow) {
	for {
		source, destination = c.anyEnd(), c.anyEnd()
		if source.ours.Addr != destination.ours.Addr {
			break
		}
	}
	return source, destination, policy.Flow{
		Source: source.ours, Destination: destination.ours, Protocol: c.protocol(), Port: uint16(c.number()),
	}
}

func allowed(s policy.Side) bool { return s.Verdict != policy.Denied }

// TestAgreement asks both about random flows in random clusters.
func TestAgreement(t *testing.T) {
	l := newLibrary()
	seen := map[string]int{}
	for seed := range uint64(clusters) {
		c := newCluster(seed)
		l.take(t, c)
		s := newSet(t, c)
		for range flows {
			source, destination, f := c.flow()
			answer := s.Evaluate(&f)
			in, out := l.allows(t, source, destination, f.Protocol, f.Port)
			if allowed(answer.Ingress) != in || allowed(answer.Egress) != out {
				t.Fatalf("seed %d, %s: we say ingress %v, egress %v; the library allows ingress %t, egress %t\n%s",
					seed, describe(&f), answer.Ingress.Verdict, answer.Egress.Verdict, in, out, dump(t, c.policies))
			}
			seen["ingress "+answer.Ingress.Verdict.String()]++
			seen["egress "+answer.Egress.Verdict.String()]++
		}
	}
	t.Logf("%d flows: %v", clusters*flows, seen)
	for _, verdict := range []string{"allowed", "denied", "unselected"} {
		if seen["ingress "+verdict] < clusters/20 || seen["egress "+verdict] < clusters/20 {
			t.Errorf("too few flows were %s: %v", verdict, seen)
		}
	}
}

// TestSuggestions applies the suggestion for every denied flow: the flow is
// allowed then, and nothing else is, nor is anything denied, but between pods
// with the same labels, in both views of the cluster.
func TestSuggestions(t *testing.T) {
	l := newLibrary()
	applied := 0
	for seed := range uint64(clusters) {
		c := newCluster(seed)
		before := newSet(t, c)
		source, destination, f := c.flow()
		answer := before.Evaluate(&f)
		if allowed(answer.Ingress) && allowed(answer.Egress) {
			continue
		}
		var pods []policy.End
		for _, p := range c.pods {
			pods = append(pods, c.end(p).ours)
		}
		policies, err := policy.Suggest(&f, &answer, pods)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		applied++
		after := newSet(t, c)
		for _, p := range policies {
			put(t, after, p)
		}
		c.policies = append(c.policies, policies...)
		l.take(t, c)
		now := after.Evaluate(&f)
		in, out := l.allows(t, source, destination, f.Protocol, f.Port)
		if !allowed(now.Ingress) || !allowed(now.Egress) || !in || !out {
			t.Fatalf("seed %d: %s is still denied under\n%s", seed, describe(&f), dump(t, policies))
		}
		if changed := c.changed(before, after, &f); changed != nil {
			t.Fatalf("seed %d: the suggestion for %s also changes %s:\n%s", seed, describe(&f), describe(changed), dump(t, policies))
		}
	}
	if applied < clusters/10 {
		t.Errorf("only %d flows of %d clusters were denied", applied, clusters)
	}
	t.Logf("%d suggestions applied", applied)
}

// changed looks for a flow other than f that is judged in another way.
func (c *cluster) changed(before, after *policy.Set, f *policy.Flow) *policy.Flow {
	var ends []policy.End
	for _, p := range c.pods {
		ends = append(ends, c.end(p).ours)
	}
	for _, addr := range c.outside {
		ends = append(ends, policy.End{Kind: policy.Outside, Addr: addr})
	}
	for i := range ends {
		for k := range ends {
			other := policy.Flow{Source: ends[i], Destination: ends[k], Protocol: f.Protocol}
			for _, other.Port = range []uint16{f.Port, f.Port + 1} {
				a, b := before.Evaluate(&other), after.Evaluate(&other)
				inSame, outSame := allowed(a.Ingress) == allowed(b.Ingress), allowed(a.Egress) == allowed(b.Egress)
				meant := other.Port == f.Port && same(&other.Source, &f.Source) && same(&other.Destination, &f.Destination)
				if !meant && (!inSame || !outSame) {
					return &other
				}
			}
		}
	}
	return nil
}

// same says that no selector tells the ends apart.
func same(a, b *policy.End) bool {
	if a.Kind != policy.Pod || b.Kind != policy.Pod {
		return a.Addr == b.Addr
	}
	return a.Namespace == b.Namespace && a.Labels.String() == b.Labels.String()
}

func describe(f *policy.Flow) string {
	return fmt.Sprintf("%s %v (%s) → %s %v (%s) %d/%s", f.Source.Name, f.Source.Labels, f.Source.Addr,
		f.Destination.Name, f.Destination.Labels, f.Destination.Addr, f.Port, f.Protocol)
}

func dump(t *testing.T, policies []*networkingv1.NetworkPolicy) string {
	t.Helper()
	b, err := yaml.Marshal(policies)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
