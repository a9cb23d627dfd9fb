package enforcer

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/kube-nflog/kube-nflog/policy"
)

// suggestions applies what explain --suggest prints. kube-router must then deliver what was
// asked for, and still everything that it delivered before.
func (c *cluster) suggestions(t *testing.T) {
	for _, tt := range []struct {
		name, policies string
		from, to       string
	}{
		{"in", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 9090}]}]}`, "front", "api"},
		{"out", `{podSelector: {matchLabels: {app: front}}, policyTypes: [Egress], egress: [{ports: [{port: 53, protocol: UDP}]}]}`, "front", "api"},
		{"both", `{podSelector: {matchLabels: {tier: back}}, policyTypes: [Ingress, Egress], ingress: [{from: [{podSelector: {matchLabels: {app: front}}}]}]}`, "db", "api"},
		{"other namespace", `{podSelector: {}, policyTypes: [Ingress]}`, "prom", "api"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.apply(t, specs(t, tt.policies)...)
			from, to := c.end(t, tt.from), c.end(t, tt.to)
			asked := c.ask(c.set(t), from, to, corev1.ProtocolTCP, 8080)
			if !asked.denied() {
				t.Fatalf("allowed already: %v", asked)
			}
			before := c.delivers(t)
			made := c.suggested(t, from, to)
			c.apply(t, append(specs(t, tt.policies), made...)...)
			if p := c.ask(c.set(t), from, to, corev1.ProtocolTCP, 8080); p.denied() || !c.send(t, []*probe{p})[p.source] {
				t.Errorf("not delivered with the suggested policies: %v", p)
			}
			after := c.delivers(t)
			for pair := range before {
				if !after[pair] {
					t.Errorf("%v → %v is not delivered any more", pair[0], pair[1])
				}
			}
			for pair := range after {
				if !before[pair] && pair != [2]string{tt.from, tt.to} {
					t.Errorf("%v → %v is delivered, nobody asked for it", pair[0], pair[1])
				}
			}
		})
	}
}

// delivers sends a packet to port 8080 between any two ends, and returns the pairs between
// which kube-router delivers it.
func (c *cluster) delivers(t *testing.T) map[[2]string]bool {
	t.Helper()
	s := c.set(t)
	var probes []*probe
	for i := range c.ends {
		for j := range c.ends {
			if i != j && (c.ends[i].Kind == policy.Pod || c.ends[j].Kind == policy.Pod) {
				probes = append(probes, c.ask(s, &c.ends[i], &c.ends[j], corev1.ProtocolTCP, 8080))
			}
		}
	}
	arrived := c.send(t, probes)
	pairs := map[[2]string]bool{}
	for _, p := range probes {
		if arrived[p.source] {
			pairs[[2]string{p.from.Name, p.to.Name}] = true
		}
	}
	return pairs
}

// suggested returns the policies that explain --suggest prints for TCP port 8080.
func (c *cluster) suggested(t *testing.T, from, to *end) (made []*networkingv1.NetworkPolicy) {
	t.Helper()
	out, err := exec.CommandContext(c.ctx, agentBinary, "explain", "--kubeconfig", c.ControlPlane.Kubeconfig(), "--suggest", "--port", "8080/TCP",
		"--from", from.Namespace+"/"+from.Name, "--to", to.Namespace+"/"+to.Name).Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Fatalf("explain: %v, want exit status 3 for a denied connection\n%s", err, out)
	}
	for documents := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(out), 4096); ; {
		p := new(networkingv1.NetworkPolicy)
		if err := documents.Decode(p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if p.Name != "" {
			made = append(made, p)
		}
	}
	if len(made) == 0 || !strings.HasPrefix(string(out), "# ") {
		t.Fatalf("no policy is suggested:\n%s", out)
	}
	return made
}
