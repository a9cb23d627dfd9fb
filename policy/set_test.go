package policy

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// put adds a policy with a version and a time of creation.
func put(t *testing.T, s *Set, text, version string, created time.Time) {
	t.Helper()
	o := parse(t, text)
	o.ResourceVersion, o.CreationTimestamp = version, metav1.NewTime(created)
	r, err := Compile(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(r)
}

// TestSince checks Since of a flow while policies change.
func TestSince(t *testing.T) {
	now := noon()
	s := NewSet(func() time.Time { return now })
	s.PutNamespace("shop", nil)
	web := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	expect := func(step string, verdict Verdict, since time.Time, names ...string) {
		t.Helper()
		got := s.Evaluate(&web).Ingress
		if got.Verdict != verdict || !got.Since.Equal(since) || !cmp.Equal(names, got.Policies) {
			t.Errorf("%s: %v since %v by %v, want %v since %v by %v", step, got.Verdict, got.Since, got.Policies, verdict, since, names)
		}
	}
	created := noon().Add(-time.Hour)
	expect("nothing", Unselected, time.Time{})
	put(t, s, ingress(`{}`), "1", created)
	expect("created, when nothing was denied", Allowed, time.Time{}, "api-in")
	now = now.Add(time.Minute)
	put(t, s, ingress(`{ports: [{port: 1}]}`), "2", created)
	expect("narrowed", Denied, time.Time{}, "api-in")
	now = now.Add(time.Minute)
	widened := now
	put(t, s, ingress(`{ports: [{port: 8080}]}`), "3", created)
	now = now.Add(time.Minute)
	put(t, s, ingress(`{ports: [{port: 8080}]}`), "3", created) // the policy comes in another list
	expect("widened", Allowed, widened, "api-in")
	put(t, s, denyIngress, "4", created)
	expect("another", Allowed, widened, "api-in", "deny-in")
	put(t, s, `{metadata: {name: also-in}, spec: {podSelector: {}, ingress: [{}]}}`, "5", now)
	expect("one more that allows it", Allowed, widened, "also-in", "api-in", "deny-in")
	s.Delete("shop", "also-in")
	s.Delete("shop", "api-in")
	expect("deleted", Denied, time.Time{}, "deny-in")
	now = now.Add(time.Minute)
	s.Delete("shop", "deny-in")
	s.Delete("shop", "deny-in")
	s.Delete("elsewhere", "deny-in")
	released := now
	expect("all deleted", Unselected, released)
	now = now.Add(time.Minute)
	put(t, s, `{metadata: {name: other}, spec: {podSelector: {matchLabels: {app: other}}}}`, "6", now)
	s.Delete("shop", "other")
	expect("one deleted that was about other pods", Unselected, released)
	if s.Len() != 0 {
		t.Errorf("%d policies are left", s.Len())
	}
}

// TestSinceGrant checks Since for a new policy that allows what others deny.
func TestSinceGrant(t *testing.T) {
	s := NewSet(noon)
	web := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	put(t, s, denyIngress, "1", noon().Add(-time.Hour))
	granted := noon().Add(-12 * time.Second)
	put(t, s, ingress(`{}`), "2", granted)
	if got := s.Evaluate(&web).Ingress; got.AllowedBy != "api-in" || !got.Since.Equal(granted) {
		t.Errorf("allowed by %s since %v, want api-in since %v", got.AllowedBy, got.Since, granted)
	}
}

// TestMetadata checks that an update of only the metadata does not count as a change.
func TestMetadata(t *testing.T) {
	s := NewSet(noon)
	put(t, s, denyIngress, "1", noon().Add(-time.Hour))
	web := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	granted := noon().Add(-30 * time.Minute)
	o := parse(t, ingress(`{}`))
	o.CreationTimestamp, o.Generation = metav1.NewTime(granted), 1
	for _, version := range []string{"2", "3"} {
		o.ResourceVersion = version
		r, err := Compile(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Put(r)
	}
	if got := s.Evaluate(&web).Ingress; !got.Since.Equal(granted) {
		t.Errorf("allowed since %v, want %v", got.Since, granted)
	}
}

func TestNamespaces(t *testing.T) {
	s := newSet(t, ingress(`{from: [{namespaceSelector: {matchLabels: {team: b}}}]}`))
	flow := Flow{Source: grafana(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	verdict := func() Verdict { return s.Evaluate(&flow).Ingress.Verdict }
	got := []Verdict{verdict()}
	s.PutNamespace("metrics", map[string]string{"team": "a"})
	got = append(got, verdict())
	s.PutNamespace("metrics", map[string]string{"team": "b"})
	got = append(got, verdict())
	s.DeleteNamespace("metrics")
	got = append(got, verdict())
	s.DeleteNamespace("shop") // its policies are deleted one by one
	got = append(got, verdict())
	if diff := cmp.Diff([]Verdict{Allowed, Denied, Allowed, Undecided, Undecided}, got); diff != "" {
		t.Errorf("verdicts, -want +got:\n%s", diff)
	}
}

// TestDeletedNamespace checks that nothing remains of a deleted namespace, in whatever
// order it and its policies are deleted.
func TestDeletedNamespace(t *testing.T) {
	for _, policyFirst := range []bool{true, false} {
		s := NewSet(noon)
		for i := range 100 {
			name := fmt.Sprintf("ns-%d", i)
			s.PutNamespace(name, map[string]string{"team": "a"})
			put(t, s, `{metadata: {name: deny, namespace: `+name+`}, spec: {podSelector: {}}}`, "1", noon())
			if policyFirst {
				s.Delete(name, "deny")
			}
			s.DeleteNamespace(name)
			s.Delete(name, "deny")
			s.DeleteNamespace(name)
		}
		if len(s.namespaces) != 0 || s.Len() != 0 {
			t.Errorf("policy first %t: %d namespaces and %d policies are left", policyFirst, len(s.namespaces), s.Len())
		}
	}
}

// TestInvalid adds policies that the API server would refuse. They must match nothing.
func TestInvalid(t *testing.T) {
	bad := func(o string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOperator(o)}}}
	}
	block := func(cidr string, except ...string) []networkingv1.NetworkPolicyPeer {
		return []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}}
	}
	numbered := func(first, last int32) networkingv1.NetworkPolicyPort {
		p := networkingv1.NetworkPolicyPort{Port: intOrString(first)}
		if last != 0 {
			p.EndPort = &last
		}
		return p
	}
	every, icmp := networkingv1.NetworkPolicyPort{}, corev1.Protocol("ICMP")
	tests := []struct {
		name string
		pods *metav1.LabelSelector
		from []networkingv1.NetworkPolicyPeer
		port networkingv1.NetworkPolicyPort
		want Verdict
	}{
		{"pod selector", bad("Near"), nil, every, Unselected},
		{"In without values", bad("In"), nil, every, Unselected},
		{"peer's pods", &metav1.LabelSelector{}, []networkingv1.NetworkPolicyPeer{{PodSelector: bad("Near")}}, every, Denied},
		{"peer's namespaces", &metav1.LabelSelector{}, []networkingv1.NetworkPolicyPeer{{NamespaceSelector: bad("Near")}}, every, Denied},
		{"block", &metav1.LabelSelector{}, block("10.0.0.0"), every, Denied},
		{"exception", &metav1.LabelSelector{}, block("10.0.0.0/8", "x"), every, Denied},
		{"port 0", &metav1.LabelSelector{}, nil, numbered(0, 0), Denied},
		{"port beyond all", &metav1.LabelSelector{}, nil, numbered(65536+8080, 0), Denied},
		{"end beyond all", &metav1.LabelSelector{}, nil, numbered(1, 70000), Denied},
		{"end before the beginning", &metav1.LabelSelector{}, nil, numbered(8080, 80), Denied},
		{"protocol", &metav1.LabelSelector{}, nil, networkingv1.NetworkPolicyPort{Protocol: &icmp}, Denied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bad"}}
			o.Spec.PodSelector, o.Spec.Ingress = *tt.pods, []networkingv1.NetworkPolicyIngressRule{{From: tt.from, Ports: []networkingv1.NetworkPolicyPort{tt.port}}}
			s := newSet(t)
			r, err := Compile(o)
			if err == nil || !strings.Contains(err.Error(), "shop/bad") {
				t.Errorf("error %v, want one that names the policy", err)
			}
			s.Put(r)
			flow := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
			if got := s.Evaluate(&flow).Ingress.Verdict; got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// TestHuge checks the bounds of texts for policies with a thousand rules, ports and peers,
// and for a thousand policies.
func TestHuge(t *testing.T) {
	o := parse(t, denyIngress)
	for i := range 1000 {
		number := int32(10000 + i)
		p := networkingv1.NetworkPolicyPort{Port: intOrString(number)}
		o.Spec.Ingress = append(o.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{p}})
		o.Spec.Ingress[0].Ports = append(o.Spec.Ingress[0].Ports, p)
	}
	s := newSet(t)
	for i := range 1000 {
		c := *o
		c.Name = fmt.Sprintf("p-%04d", i)
		if i > 0 {
			c.Spec.Ingress = nil
		}
		r, err := Compile(&c)
		if err != nil {
			t.Fatal(err)
		}
		s.Put(r)
	}
	flow := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	got := s.Evaluate(&flow).Ingress
	if got.Verdict != Denied || got.Count != 1000 || len(got.Policies) != MaxNames {
		t.Errorf("%v by %d policies, %d named; want denied by 1000, %d named", got.Verdict, got.Count, len(got.Policies), MaxNames)
	}
	if got.Nearest == nil || len(got.Nearest.Ports) > 2*maxText || !strings.HasSuffix(got.Nearest.Ports, "more") {
		t.Errorf("nearest is not cut: %+v", got.Nearest)
	}
}

// TestConcurrent changes policies and namespaces while flows are evaluated, for the race
// detector. Each flow must see either the old or the new state of a policy.
func TestConcurrent(t *testing.T) {
	s := newSet(t)
	open, err := Compile(parse(t, ingress(`{}`)))
	if err != nil {
		t.Fatal(err)
	}
	shut, err := Compile(parse(t, ingress(`{ports: [{port: 1}]}`)))
	if err != nil {
		t.Fatal(err)
	}
	s.Put(open)
	var changing sync.WaitGroup
	changing.Go(func() {
		for i := range 1000 {
			s.Put([]*Compiled{open, shut}[i%2])
			s.PutNamespace("metrics", map[string]string{"team": "c"})
		}
	})
	flow := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	for range 1000 {
		if got := s.Evaluate(&flow).Ingress; got.Verdict != Allowed && got.Verdict != Denied {
			t.Errorf("%v", got.Verdict)
		}
	}
	changing.Wait()
}
