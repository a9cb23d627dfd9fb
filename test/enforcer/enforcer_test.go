package enforcer

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// scripted are policies in namespace shop, with a name that says what they show.
var scripted = []struct{ name, policies string }{
	{"none", ``},
	{"default deny on the way in", `{podSelector: {}, policyTypes: [Ingress]}`},
	{"default deny on the way out", `{podSelector: {}, policyTypes: [Egress]}`},
	{"default deny both ways", `{podSelector: {}, policyTypes: [Ingress, Egress]}`},
	{"allow all in", `{podSelector: {}, ingress: [{}]}
		{podSelector: {}, policyTypes: [Ingress]}`},
	{"a port", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 8080}]}]}`},
	{"a port of UDP", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 53, protocol: UDP}]}]}`},
	{"a port of SCTP", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 8080, protocol: SCTP}]}]}`},
	{"a protocol", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{protocol: UDP}]}]}`},
	{"a range of ports", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 8000, endPort: 8080}]}]}`},
	{"a named port", `{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: http}, {port: dns, protocol: UDP}]}]}`},
	{"a named port on the way out", `{podSelector: {matchLabels: {app: front}}, policyTypes: [Egress], egress: [{to: [{podSelector: {}}], ports: [{port: http}]}]}`},
	{"pods", `{podSelector: {matchLabels: {tier: back}}, ingress: [{from: [{podSelector: {matchLabels: {app: front}}}]}]}`},
	{"pods by expressions", `{podSelector: {matchExpressions: [{key: app, operator: In, values: [api, db]}]}, ingress: [{from: [{podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [back]}]}}]}]}`},
	{"pods without a label", `{podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}, policyTypes: [Ingress]}`},
	{"all namespaces", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {}}]}]}`},
	{"a namespace", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: m}}}]}]}`},
	{"pods of a namespace", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: metrics}}, podSelector: {matchLabels: {app: prom}}}]}]}`},
	{"pods or a namespace", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: m}}}, {podSelector: {matchLabels: {app: db}}}]}]}`},
	{"outside alone", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}`},
	{"everywhere but pods", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.20.0.0/16]}}]}]}`},
	{"to outside", `{podSelector: {matchLabels: {app: front}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}], ports: [{port: 8080}]}]}`},
	{"to outside, all of it", `{podSelector: {matchLabels: {app: front}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}`},
	{"in and out", `{podSelector: {matchLabels: {app: front}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: api}}}], ports: [{port: 8080}]}]}
		{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: front}}}], ports: [{port: 8080}, {port: 53, protocol: UDP}]}]}`},
	{"two policies add up", `{podSelector: {matchLabels: {app: api}}, ingress: [{from: [{podSelector: {matchLabels: {app: front}}}]}]}
		{podSelector: {matchLabels: {tier: back}}, ingress: [{ports: [{port: 53, protocol: UDP}]}]}`},
}

// scriptedPairs are sources and destinations. With each scripted policy each pair sends two
// packets. kube-router logs ten packets of a pod at once.
var scriptedPairs = [][2]string{
	{"front", "api"}, {"db", "api"}, {"grafana", "api"}, {"prom", "api"}, {"outside", "api"}, {"front", "outside"}, {"db", "front"}, {"front", "grafana"},
}

// TestKubeRouter runs a real kube-router and the agent on a node. The test itself adds no
// rule.
func TestKubeRouter(t *testing.T) {
	c := newCluster(t)
	t.Run("scripted", c.scripted)
	t.Run("random", c.random)
	t.Run("suggestions", c.suggestions)
	t.Run("to the node", c.toNode)
	t.Run("doctor", c.doctor)
	c.eventNames(t)
}

// scripted applies policies whose effect is known, sends packets, and compares the results.
func (c *cluster) scripted(t *testing.T) {
	sent, dropped := 0, 0
	for _, tt := range scripted {
		t.Run(tt.name, func(t *testing.T) {
			c.apply(t, specs(t, tt.policies)...)
			s := c.set(t)
			var probes []*probe
			for i, pair := range scriptedPairs {
				from, to := c.end(t, pair[0]), c.end(t, pair[1])
				probes = append(probes, c.ask(s, from, to, corev1.ProtocolTCP, 8080))
				other := []corev1.Protocol{corev1.ProtocolUDP, corev1.ProtocolSCTP}[i%2]
				probes = append(probes, c.ask(s, from, to, other, map[corev1.Protocol]uint16{corev1.ProtocolUDP: 53, corev1.ProtocolSCTP: 8080}[other]))
			}
			sent += len(probes)
			dropped += c.compare(t, probes)
		})
	}
	t.Logf("%d packets, %d of them denied", sent, dropped)
	if dropped < sent/5 || dropped > sent*4/5 {
		t.Error("too few or too many were denied to tell much")
	}
}

// toNode sends packets from a pod to its own node, and back. The API's documentation says
// that "traffic to and from the node where a Pod is running is always allowed". kube-router
// allows packets from the node to its pods, as the last packet of each send shows, but not
// from the pods to their node. The agent then names the node's rule as the reason.
func (c *cluster) toNode(t *testing.T) {
	c.apply(t, specs(t, `{podSelector: {matchLabels: {app: front}}, policyTypes: [Ingress, Egress]}`)...)
	s, front := c.set(t), c.end(t, "front")
	node := &end{End: policy.End{Kind: policy.Node, Name: nodeName, NodeName: nodeName, Addr: nodeAddress}}
	if p := c.ask(s, node, front, corev1.ProtocolTCP, 8080); p.answer.Ingress.Verdict != policy.Exempt {
		t.Error(p)
	}
	p := c.ask(s, front, node, corev1.ProtocolTCP, 10250)
	if p.answer.Egress.Verdict != policy.Exempt {
		t.Fatal(p)
	}
	c.send(t, []*probe{p})
	want := "no NetworkPolicy may deny traffic between a pod and itself or its own node; a rule on node " + nodeName + " does"
	if line := c.line(t, p); line.Reason != want {
		t.Errorf("the agent says %q, want %q", line.Reason, want)
	}
}

// eventNames checks the output of kubectl describe: an application owner must read which
// policy denied the packets.
func (c *cluster) eventNames(t *testing.T) {
	t.Helper()
	system.Must(t, c.agent.Stop(c.ctx))
	described, err := c.ControlPlane.Kubectl(c.ctx, "describe", "pod", "-n", "shop", "api")
	system.Must(t, err)
	for _, want := range []string{
		"Packet dropped when receiving traffic from ", "denied by NetworkPolicy shop/p-", "(no rule allows it",
	} {
		if !strings.Contains(described, want) {
			t.Errorf("kubectl describe pod does not say %q:\n%s", want, described)
		}
	}
}

// specs returns the policies in a text, one for each line.
func specs(t *testing.T, text string) []*networkingv1.NetworkPolicy {
	t.Helper()
	var all []*networkingv1.NetworkPolicy
	for line := range strings.Lines(text) {
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("p-%d", len(all))}}
		if err := yaml.UnmarshalStrict([]byte(strings.TrimSpace(line)), &p.Spec); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, p)
	}
	return all
}
