package test

import (
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// reasonsPolicies are the policies of TestKubectlReasons.
const reasonsPolicies = `
metadata: {name: default-deny}
spec:
  podSelector: {matchLabels: {tier: back}}
  policyTypes: [Ingress]
---
metadata: {name: api-ingress}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {}}], ports: [{port: 9090}]}]
---
metadata: {name: front-egress}
spec:
  podSelector: {matchLabels: {app: front}}
  policyTypes: [Egress]
  egress: [{to: [{podSelector: {}}], ports: [{port: 53, protocol: UDP}]}]
`

// TestKubectlReasons compares the real kubectl's output of the reasons with golden files:
// denied for ingress, for egress, and for both; denied by the node's own firewall, with and
// without policies that select the pods; and allowed by a policy that is very new.
func TestKubectlReasons(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	api, front := s.createAPI(t), s.createFront(t)
	for text := range strings.SplitSeq(reasonsPolicies, "---\n") {
		var p networkingv1.NetworkPolicy
		system.Must(t, yaml.UnmarshalStrict([]byte(text), &p))
		s.createPolicy(t, &p)
	}
	s.run(t, "nft", `add table inet deny
		add chain inet deny forward { type filter hook forward priority 0; }
		add chain inet deny output { type filter hook output priority 0; }
		add rule inet deny forward log prefix "deny" group 100 drop
		add rule inet deny output oifname "veth*" log prefix "deny" group 100 drop`)
	a := s.startReady(t, agent.Config{Args: []string{"--explain"}})
	s.awaitMetric(t, a, 3, "kube_nflog_networkpolicies")

	for _, sent := range []struct {
		from  end
		to    netip.Addr
		proto netlab.Protocol
		port  uint16
		count int
	}{
		{s.client, api.v4, netlab.TCP, 8080, 10},
		{s.outside, api.v6, netlab.SCTP, 9090, 2},
		{front, s.server.v4, netlab.TCP, 5432, 3},
		{front, s.outside.v4, netlab.UDP, 53, 2},
		{front, api.v4, netlab.TCP, 8080, 4},
		{s.client, s.server.v4, netlab.TCP, 22, 5},
		{s.client, api.v4, netlab.TCP, 9090, 2},
		{s.node, api.v4, netlab.TCP, 8080, 1},
	} {
		from := sent.from.v4
		if sent.to.Is6() {
			from = sent.from.v6
		}
		p := netlab.Packet{Source: from, Destination: sent.to, Protocol: sent.proto, DestinationPort: sent.port}
		if err := sent.from.Send(p, sent.count); !errors.Is(err, unix.EPERM) { // the error with which the node itself sees a drop
			system.Must(t, err)
		}
	}
	system.Must(t, a.Stop(s.ctx))
	for _, pod := range []string{"api", "front", "client", "server"} {
		describe := s.kubectl(t, "describe", "pod", "-n", s.namespace, pod)
		_, events, ok := strings.Cut(describe, "\nEvents:\n")
		if !ok {
			t.Fatalf("kubectl describe has no events:\n%s", describe)
		}
		golden(t, "reasons-describe-pod-"+pod, s.normaliseReasons(events))
	}
	golden(t, "reasons-get-events", s.normaliseReasons(s.kubectl(t, "get", "events", "-n", s.namespace)))
}

// createFront creates a pod that front-egress selects, and attaches it to the node.
func (s *scene) createFront(t *testing.T) end {
	t.Helper()
	at := s.attach(t, "front", v4(s.server.v4, 9), v6(s.server.v6, 9))
	pod := controlplane.Pod{
		Namespace: s.namespace, Name: "front", Node: s.nodeName, Addresses: []netip.Addr{at.v4, at.v6},
		Labels: map[string]string{"app": "front"},
	}
	if _, err := s.plane.CreatePod(s.ctx, pod); err != nil {
		t.Fatal(err)
	}
	return at
}

// normaliseReasons is normalise for a scene with more pods, and for reasons that say how
// long ago a policy changed.
func (s *scene) normaliseReasons(table string) string {
	table = regexp.MustCompile(`since \d+ s ago`).ReplaceAllString(s.normalise(table), "since N s ago")
	return strings.NewReplacer(
		v4(s.server.v4, 8).String(), "10.0.0.8", v6(s.server.v6, 8).String(), "fd00::8",
		v4(s.server.v4, 9).String(), "10.0.0.9", s.node.v4.String(), "10.0.0.1",
	).Replace(table)
}
