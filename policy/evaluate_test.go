package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// deny isolates every pod of namespace shop in a direction.
const (
	denyIngress = `{metadata: {name: deny-in}, spec: {podSelector: {}, policyTypes: [Ingress]}}`
	denyEgress  = `{metadata: {name: deny-out}, spec: {podSelector: {}, policyTypes: [Egress]}}`
)

// ingress returns a policy with one rule that isolates the pods with app=api.
func ingress(rule string) string {
	return `{metadata: {name: api-in}, spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress], ingress: [` + rule + `]}}`
}

// egress returns the same for egress of the pods with app=frontend.
func egress(rule string) string {
	return `{metadata: {name: front-out}, spec: {podSelector: {matchLabels: {app: frontend}}, policyTypes: [Egress], egress: [` + rule + `]}}`
}

// TestEvaluate checks the documented semantics of NetworkPolicy: the verdicts for ingress
// of the destination and egress of the source.
func TestEvaluate(t *testing.T) {
	tcp := func(from, to End, port uint16) Flow {
		return Flow{Source: from, Destination: to, Protocol: corev1.ProtocolTCP, Port: port}
	}
	with := func(f Flow, p corev1.Protocol) Flow {
		f.Protocol = p
		return f
	}
	web := tcp(frontend(), api(), 8080)
	tests := []struct {
		name     string
		policies []string
		flow     Flow
		in, out  Verdict
	}{
		{"no policies", nil, web, Unselected, Unselected},
		{"default deny of ingress", []string{denyIngress}, web, Denied, Unselected},
		{"default deny of egress", []string{denyEgress}, web, Unselected, Denied},
		{"default deny of both", []string{denyIngress, denyEgress}, web, Denied, Denied},
		{"a policy of another namespace", []string{`{metadata: {name: deny, namespace: metrics}, spec: {podSelector: {}}}`}, web, Unselected, Unselected},
		{"a policy that selects other pods", []string{`{metadata: {name: deny}, spec: {podSelector: {matchLabels: {app: db}}}}`}, web, Unselected, Unselected},

		{"policyTypes default to Ingress", []string{`{metadata: {name: p}, spec: {podSelector: {}}}`}, web, Denied, Unselected},
		{"policyTypes default to both with egress rules", []string{`{metadata: {name: p}, spec: {podSelector: {}, egress: [{}]}}`}, web, Denied, Allowed},
		{"rules of a direction without its type say nothing", []string{`{metadata: {name: p}, spec: {podSelector: {}, policyTypes: [Egress], ingress: [{}]}}`}, web, Unselected, Denied},
		{"an empty list of rules allows nothing", []string{`{metadata: {name: p}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: []}}`}, web, Denied, Unselected},
		{"an empty rule allows everything", []string{ingress(`{}`)}, web, Allowed, Unselected},
		{"an empty rule allows the outside", []string{ingress(`{}`)}, tcp(outside("203.0.113.9"), api(), 22), Allowed, NoPod},
		{"policies add up", []string{denyIngress, ingress(`{}`)}, web, Allowed, Unselected},
		{"empty lists of peers and ports mean all", []string{ingress(`{from: [], ports: []}`)}, web, Allowed, Unselected},

		{"podSelector", []string{ingress(`{from: [{podSelector: {matchLabels: {app: frontend}}}]}`)}, web, Allowed, Unselected},
		{"podSelector, other label", []string{ingress(`{from: [{podSelector: {matchLabels: {app: web}}}]}`)}, web, Denied, Unselected},
		{"podSelector is of the policy's namespace", []string{ingress(`{from: [{podSelector: {}}]}`)}, tcp(grafana(), api(), 8080), Denied, Unselected},
		{"empty podSelector is every pod of the namespace", []string{ingress(`{from: [{podSelector: {}}]}`)}, web, Allowed, Unselected},
		{"empty podSelector is no outside", []string{ingress(`{from: [{podSelector: {}}]}`)}, tcp(outside("10.0.0.5"), api(), 8080), Denied, NoPod},
		{"namespaceSelector", []string{ingress(`{from: [{namespaceSelector: {matchLabels: {team: b}}}]}`)}, tcp(grafana(), api(), 8080), Allowed, Unselected},
		{"namespaceSelector, other label", []string{ingress(`{from: [{namespaceSelector: {matchLabels: {team: c}}}]}`)}, tcp(grafana(), api(), 8080), Denied, Unselected},
		{"namespaceSelector by the name that all have", []string{ingress(`{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: elsewhere}}}]}`)},
			tcp(newPod("elsewhere", "x", "10.0.3.1", nil), api(), 8080), Allowed, Unselected},
		{"empty namespaceSelector is all pods", []string{ingress(`{from: [{namespaceSelector: {}}]}`)}, tcp(grafana(), api(), 8080), Allowed, Unselected},
		{"empty namespaceSelector is no outside", []string{ingress(`{from: [{namespaceSelector: {}}]}`)}, tcp(outside("203.0.113.9"), api(), 8080), Denied, NoPod},
		{"both in one peer are AND", []string{ingress(`{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: frontend}}}]}`)}, web, Denied, Unselected},
		{"both in one peer, both match", []string{ingress(`{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: grafana}}}]}`)}, tcp(grafana(), api(), 1), Allowed, Unselected},
		{"both in two peers are OR", []string{ingress(`{from: [{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: frontend}}}]}`)}, web, Allowed, Unselected},
		{"expressions", []string{ingress(`{from: [{podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [back]}, {key: app, operator: Exists}]}}]}`)}, web, Allowed, Unselected},
		{"expressions, absent", []string{ingress(`{from: [{podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}}]}`)}, web, Denied, Unselected},

		{"ipBlock", []string{ingress(`{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}`)}, tcp(outside("203.0.113.9"), api(), 8080), Allowed, NoPod},
		{"ipBlock, other address", []string{ingress(`{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}`)}, tcp(outside("203.0.114.9"), api(), 8080), Denied, NoPod},
		{"ipBlock's exception", []string{ingress(`{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/29]}}]}`)}, tcp(outside("203.0.113.9"), api(), 8080), Denied, NoPod},
		{"beside ipBlock's exception", []string{ingress(`{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.8/29]}}]}`)}, tcp(outside("203.0.113.16"), api(), 8080), Allowed, NoPod},
		{"an exception of one peer is none of another", []string{ingress(`{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [203.0.113.0/24]}}, {ipBlock: {cidr: 203.0.113.9/32}}]}`)}, tcp(outside("203.0.113.9"), api(), 8080), Allowed, NoPod},
		{"ipBlock of pods", []string{ingress(`{from: [{ipBlock: {cidr: 10.0.0.0/16}}]}`)}, web, Allowed, Unselected},
		{"ipBlock of IPv6", []string{ingress(`{from: [{ipBlock: {cidr: "2001:db8::/32"}}]}`)}, tcp(outside("2001:db8::1"), api(), 8080), Allowed, NoPod},
		{"ipBlock of all IPv4 is no IPv6", []string{ingress(`{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}`)}, tcp(outside("2001:db8::1"), api(), 8080), Denied, NoPod},

		{"port", []string{ingress(`{ports: [{port: 8080}]}`)}, web, Allowed, Unselected},
		{"port, other number", []string{ingress(`{ports: [{port: 8081}]}`)}, web, Denied, Unselected},
		{"port defaults to TCP", []string{ingress(`{ports: [{port: 8080}]}`)}, with(web, corev1.ProtocolUDP), Denied, Unselected},
		{"SCTP", []string{ingress(`{ports: [{port: 2905, protocol: SCTP}]}`)}, with(tcp(frontend(), api(), 2905), corev1.ProtocolSCTP), Allowed, Unselected},
		{"SCTP is no TCP", []string{ingress(`{ports: [{port: 2905, protocol: SCTP}]}`)}, tcp(frontend(), api(), 2905), Denied, Unselected},
		{"protocol alone is all its ports", []string{ingress(`{ports: [{protocol: UDP}]}`)}, with(web, corev1.ProtocolUDP), Allowed, Unselected},
		{"protocol alone is no other", []string{ingress(`{ports: [{protocol: UDP}]}`)}, web, Denied, Unselected},
		{"endPort, first", []string{ingress(`{ports: [{port: 8000, endPort: 8080}]}`)}, tcp(frontend(), api(), 8000), Allowed, Unselected},
		{"endPort, last", []string{ingress(`{ports: [{port: 8000, endPort: 8080}]}`)}, web, Allowed, Unselected},
		{"endPort, beyond", []string{ingress(`{ports: [{port: 8000, endPort: 8079}]}`)}, web, Denied, Unselected},
		{"endPort, below", []string{ingress(`{ports: [{port: 8081, endPort: 9000}]}`)}, web, Denied, Unselected},
		{"named port", []string{ingress(`{ports: [{port: http}]}`)}, web, Allowed, Unselected},
		{"named port, other number", []string{ingress(`{ports: [{port: http}]}`)}, tcp(frontend(), api(), 8081), Denied, Unselected},
		{"named port, other protocol", []string{ingress(`{ports: [{port: dns}]}`)}, tcp(frontend(), api(), 53), Denied, Unselected},
		{"named port that the pod lacks", []string{ingress(`{ports: [{port: grpc}]}`)}, web, Denied, Unselected},
		{"named port of egress is the peer's", []string{egress(`{ports: [{port: http}]}`)}, web, Unselected, Allowed},
		{"named port of egress to the outside", []string{egress(`{ports: [{port: http}]}`)}, tcp(frontend(), outside("203.0.113.9"), 8080), NoPod, Denied},
		{"ports and peers of one rule are AND", []string{ingress(`{ports: [{port: 8080}], from: [{podSelector: {matchLabels: {app: web}}}]}`)}, web, Denied, Unselected},
		{"ports and peers of two rules do not mix", []string{ingress(`{ports: [{port: 9090}], from: [{podSelector: {}}]}, {ports: [{port: 8080}], from: [{podSelector: {matchLabels: {app: web}}}]}`)}, web, Denied, Unselected},
		{"ICMP where ports are given", []string{ingress(`{ports: [{port: 8080}]}`)}, with(web, "ICMP"), Denied, Unselected},
		{"ICMP where none are", []string{ingress(`{from: [{podSelector: {}}]}`)}, with(web, "ICMP"), Allowed, Unselected},

		{"egress to pods", []string{egress(`{to: [{podSelector: {matchLabels: {app: api}}}]}`)}, web, Unselected, Allowed},
		{"egress to the outside", []string{egress(`{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}`)}, tcp(frontend(), outside("203.0.113.9"), 443), NoPod, Allowed},
		{"egress to the outside, other address", []string{egress(`{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}`)}, tcp(frontend(), outside("198.51.100.9"), 443), NoPod, Denied},
		{"egress to a namespace", []string{egress(`{to: [{namespaceSelector: {matchLabels: {kind: infra}}}]}`)}, tcp(frontend(), grafana(), 3000), Unselected, Allowed},
		{"egress allowed, ingress denied", []string{denyIngress, egress(`{}`)}, web, Denied, Allowed},

		{"host network is selected by nothing", []string{ingress(`{from: [{namespaceSelector: {}}]}`)}, tcp(node("n2", "192.168.0.2"), api(), 8080), Denied, NoPod},
		{"host network has an address", []string{ingress(`{from: [{ipBlock: {cidr: 192.168.0.0/24}}]}`)}, tcp(node("n2", "192.168.0.2"), api(), 8080), Allowed, NoPod},
		{"a pod's own node comes in", []string{denyIngress}, tcp(node("n1", "192.168.0.1"), api(), 8080), Exempt, NoPod},
		{"a pod goes to its own node", []string{denyEgress}, tcp(api(), node("n1", "192.168.0.1"), 53), NoPod, Exempt},
		{"another node does not come in", []string{denyIngress}, tcp(node("n2", "192.168.0.2"), api(), 8080), Denied, NoPod},
		{"a pod does not go to another node", []string{denyEgress}, tcp(api(), node("n2", "192.168.0.2"), 53), NoPod, Denied},
		{"a pod comes to itself", []string{denyIngress, denyEgress}, tcp(api(), api(), 8080), Exempt, Exempt},

		{"an unknown peer may be selected", []string{ingress(`{from: [{podSelector: {}}]}`)}, tcp(End{Kind: Unknown, Addr: outside("10.0.9.9").Addr}, api(), 8080), Undecided, NoPod},
		{"an unknown peer, but the port is no option", []string{ingress(`{ports: [{port: 1}], from: [{podSelector: {}}]}`)}, tcp(End{Kind: Unknown, Addr: outside("10.0.9.9").Addr}, api(), 8080), Denied, NoPod},
		{"an unknown peer under default deny", []string{denyIngress}, tcp(End{Kind: Unknown, Addr: outside("10.0.9.9").Addr}, api(), 8080), Denied, NoPod},
		{"labels of a namespace that is not known", []string{ingress(`{from: [{namespaceSelector: {matchLabels: {team: b}}}]}`)},
			tcp(newPod("elsewhere", "x", "10.0.3.1", nil), api(), 8080), Undecided, Unselected},
		{"the name of a namespace that is not known", []string{ingress(`{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: metrics, team: b}}}]}`)},
			tcp(newPod("elsewhere", "x", "10.0.3.1", nil), api(), 8080), Denied, Unselected},
		{"a Service stands for anything", []string{egress(`{to: [{ipBlock: {cidr: 203.0.113.0/24}}]}`)}, tcp(frontend(), End{Kind: Service, Addr: outside("10.96.0.1").Addr}, 80), NoPod, Undecided},
		{"a Service's pods may have another port", []string{egress(`{ports: [{port: 8080}]}`)}, tcp(frontend(), End{Kind: Service, Addr: outside("10.96.0.1").Addr}, 80), NoPod, Undecided},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := newSet(t, tt.policies...).Evaluate(&tt.flow)
			if got.Ingress.Verdict != tt.in || got.Egress.Verdict != tt.out {
				t.Errorf("ingress %v, egress %v; want %v, %v", got.Ingress.Verdict, got.Egress.Verdict, tt.in, tt.out)
			}
		})
	}
}

// TestNearest checks the nearest rule of policies that deny a flow.
func TestNearest(t *testing.T) {
	web := Flow{Source: frontend(), Destination: api(), Protocol: corev1.ProtocolTCP, Port: 8080}
	tests := []struct {
		name     string
		policies []string
		want     *Miss
	}{
		{"none", []string{denyIngress}, nil},
		{"neither peer nor port", []string{ingress(`{ports: [{port: 1}], from: [{podSelector: {matchLabels: {app: web}}}]}`)}, nil},
		{"port", []string{ingress(`{ports: [{port: 9090}, {port: 1000, endPort: 2000, protocol: UDP}, {port: metrics}, {protocol: SCTP}], from: [{podSelector: {}}]}`)},
			&Miss{Policy: "api-in", Peer: true, Ports: "9090/TCP, 1000-2000/UDP, metrics/TCP, any/SCTP"}},
		{"peer", []string{ingress(`{ports: [{port: 8080}], from: [{podSelector: {matchLabels: {app: web}}}, {namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: x}}}, {namespaceSelector: {matchLabels: {team: c}}}, {ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.1/32]}}]}`)},
			&Miss{Policy: "api-in", Peers: "pods app=web, pods app=x in namespaces team=b, all pods in namespaces team=c, 192.0.2.0/24 except 192.0.2.1/32"}},
		{"rather the peer", []string{
			`{metadata: {name: a}, spec: {podSelector: {}, ingress: [{ports: [{port: 8080}], from: [{podSelector: {matchLabels: {app: web}}}]}]}}`,
			`{metadata: {name: b}, spec: {podSelector: {}, ingress: [{ports: [{port: 9090}]}]}}`,
		}, &Miss{Policy: "b", Peer: true, Ports: "9090/TCP"}},
		{"rather the first", []string{
			`{metadata: {name: b}, spec: {podSelector: {}, ingress: [{ports: [{port: 2}]}]}}`,
			`{metadata: {name: a}, spec: {podSelector: {}, ingress: [{ports: [{port: 1}]}]}}`,
		}, &Miss{Policy: "a", Peer: true, Ports: "1/TCP"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			side := newSet(t, tt.policies...).Evaluate(&web).Ingress
			if diff := cmp.Diff(tt.want, side.Nearest); side.Verdict != Denied || diff != "" {
				t.Errorf("%v, nearest -want +got:\n%s", side.Verdict, diff)
			}
		})
	}
}
