package agreement

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
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

// library is kube-network-policies. It reads the stores of informers that never run.
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

// end is one end of a flow, for both evaluators.
type end struct {
	ours   policy.End
	theirs *api.PodInfo
}

// allows returns the library's answer for both directions.
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

// newSet returns package policy's view of the cluster.
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
	r, err := policy.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(r)
}

// containerPorts are the ports of a pod.
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

// anyEnd returns a pod, or sometimes an outside address.
func (c *cluster) anyEnd() end {
	if c.chance(20) {
		return end{ours: policy.End{Kind: policy.Outside, Addr: pick(c, c.outside...)}}
	}
	return c.end(pick(c, c.pods...))
}

// flow returns a random flow, but never from a pod to itself.
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

// TestAgreement compares both evaluators for random flows in random clusters.
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

// TestSuggestions applies the suggestion for every denied flow, in both evaluators. Then
// the flow must be allowed, nothing that was allowed may be denied at any port, and
// everything else that is newly allowed must be in the suggestion's comments.
func TestSuggestions(t *testing.T) {
	l := newLibrary()
	applied, refused, also := 0, 0, 0
	for seed := range uint64(clusters) {
		c := newCluster(seed)
		before := newSet(t, c)
		source, destination, f := c.flow()
		answer := before.Evaluate(&f)
		if allowed(answer.Ingress) && allowed(answer.Egress) {
			continue
		}
		made, err := before.Suggest(&f, c.ourPods())
		if err != nil {
			if !strings.Contains(err.Error(), "has no labels") {
				t.Fatalf("seed %d: %v", seed, err)
			}
			refused++
			continue
		}
		applied++
		also += made.AlsoCount
		l.apply(t, c, &made, source, destination, &f)
		if t.Failed() {
			t.Fatalf("seed %d: the suggestion for %s:\n%s", seed, describe(&f), dump(t, made.Policies))
		}
	}
	if applied < clusters/10 || also == 0 {
		t.Errorf("only %d flows of %d clusters were denied, and the suggestions allowed %d others", applied, clusters, also)
	}
	t.Logf("%d suggestions applied, which allowed %d other flows; %d refused", applied, also, refused)
}

// ourPods returns the pods as package policy knows them.
func (c *cluster) ourPods() (ends []policy.End) {
	for _, p := range c.pods {
		ends = append(ends, c.end(p).ours)
	}
	return ends
}

// apply adds a suggestion to the cluster, and compares both evaluators before and after it.
func (l *library) apply(t *testing.T, c *cluster, made *policy.Suggestion, source, destination end, f *policy.Flow) {
	t.Helper()
	l.take(t, c)
	was := l.table(t, c, f)
	c.policies = append(c.policies, made.Policies...)
	l.take(t, c)
	in, out := l.allows(t, source, destination, f.Protocol, f.Port)
	if now := newSet(t, c).Evaluate(f); !allowed(now.Ingress) || !allowed(now.Egress) || !in || !out {
		t.Error("the flow is still denied")
	}
	opened := 0
	for flow, is := range l.table(t, c, f) {
		switch {
		case was[flow] && !is:
			t.Errorf("it denies %+v", flow)
		case was[flow] || !is:
		case flow.port != f.Port:
			t.Errorf("it allows %+v, at another port", flow)
		case flow.source != f.Source.Addr || flow.destination != f.Destination.Addr:
			opened++
		}
	}
	if opened != made.AlsoCount {
		t.Errorf("it opens %d other pairs and says %d: %+v", opened, made.AlsoCount, made.Also)
	}
}

// between is a row of the library's table.
type between struct {
	source, destination netip.Addr
	port                uint16
}

// table returns what the library allows between all pods and the flow's own ends, at the
// flow's port and the next one.
func (l *library) table(t *testing.T, c *cluster, f *policy.Flow) map[between]bool {
	t.Helper()
	var ends []end
	for _, p := range c.pods {
		ends = append(ends, c.end(p))
	}
	for _, e := range []policy.End{f.Source, f.Destination} {
		if e.Kind != policy.Pod {
			ends = append(ends, end{ours: e})
		}
	}
	table := map[between]bool{}
	for _, from := range ends {
		for _, to := range ends {
			if from.ours.Addr == to.ours.Addr {
				continue
			}
			for _, port := range []uint16{f.Port, f.Port + 1} {
				in, out := l.allows(t, from, to, f.Protocol, port)
				table[between{from.ours.Addr, to.ours.Addr, port}] = in && out
			}
		}
	}
	return table
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
