package test

import (
	"fmt"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// TestProtocols sends every protocol over both families through every kind of rule. It
// expects events on both pods and JSON lines that count exactly the sent packets.
func TestProtocols(t *testing.T) {
	for _, b := range backends() {
		t.Run(b.name, func(t *testing.T) {
			s := newScene(t)
			b.install(t, s)
			a := s.startReady(t, agent.Config{})
			sent := s.mixed(b.limited)
			for _, p := range sent {
				system.Must(t, s.client.Send(p.Packet, p.count))
			}
			system.Must(t, a.Stop(s.ctx))
			s.checkMixed(t, b, a, sent)
		})
	}
}

// mixed returns packets from client to server: every protocol in both families, each with
// its own number of packets, or ten in all for rules with a limit.
func (s *scene) mixed(limited bool) []burst {
	var all []burst
	for _, family := range []int{4, 6} {
		for i, protocol := range []netlab.Protocol{netlab.TCP, netlab.UDP, netlab.ICMP, netlab.SCTP} {
			p := netlab.Packet{Source: s.client.in(family), Destination: s.server.in(family), Protocol: protocol}
			if protocol != netlab.ICMP {
				// One event counts both families' packets to one port, so each
				// has its own.
				p.DestinationPort = uint16(8000 + 10*i + family)
			}
			if protocol == netlab.UDP {
				p.PayloadLength = 100
			}
			count := 4*i + family
			if limited {
				count = []int{2, 1, 1, 1}[i]
			}
			all = append(all, burst{p, count})
		}
	}
	return all
}

func (s *scene) checkMixed(t *testing.T, b backend, a *agent.Agent, sent []burst) {
	t.Helper()
	var onServer, onClient []event
	lines := map[flow]total{}
	for _, p := range sent {
		from := fmt.Sprintf("Packet dropped when receiving traffic from %s/client (%s)%s%s", s.namespace, p.Source, p.target(), b.note())
		to := fmt.Sprintf("Packet dropped when sending traffic to %s/server (%s)%s%s", s.namespace, p.Destination, p.target(), b.note())
		onServer = append(onServer, s.dropped(p.count, from))
		onClient = append(onClient, s.dropped(p.count, to))
		f := p.flow(s)
		f.Prefix, f.In, f.Out = b.prefix, "vethclient", "vethserver"
		f.Source, f.Destination = s.pod("client", p.Source), s.pod("server", p.Destination)
		lines[f] = p.size(t)
	}
	s.wantEvents(t, "server", onServer...)
	s.wantEvents(t, "client", onClient...)
	wantFlows(t, a, lines)
}
