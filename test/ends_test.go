package test

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// TestEnds sends traffic between all kinds of ends, in both families. Each pod gets its
// event, and no other object gets one.
func TestEnds(t *testing.T) {
	system.Need(t, "nft")
	for _, c := range []struct {
		name       string
		hook       string // where the rule logs
		drop       bool   // a packet that is dropped in output is an error for the sender
		from, to   func(*scene) end
		in, out    string // the node's devices
		fromLine   string // how JSON lines name the ends, with %s for the address
		toLine     string
		clientSees string // the client's event, with %s for the other address
		serverSees string // the server's event
	}{
		{
			name: "pod to outside", hook: "forward", drop: true,
			from: (*scene).clientEnd, to: (*scene).outsideEnd, in: "vethclient", out: "vethoutside",
			fromLine: "Pod NAMESPACE/client %s", toLine: "External %s",
			clientSees: "Packet dropped when sending traffic to %s on port PORT/TCP.",
		},
		{
			name: "outside to pod", hook: "forward", drop: true,
			from: (*scene).outsideEnd, to: (*scene).serverEnd, in: "vethoutside", out: "vethserver",
			fromLine: "External %s", toLine: "Pod NAMESPACE/server %s",
			serverSees: "Packet dropped when receiving traffic from %s on port PORT/TCP.",
		},
		{
			// The node's address belongs to the node, even if a pod shares it.
			name: "pod to hostNetwork pod", hook: "input", drop: true,
			from: (*scene).clientEnd, to: (*scene).nodeEnd, in: "vethclient", out: "",
			fromLine: "Pod NAMESPACE/client %s", toLine: "Node NODE %s",
			clientSees: "Packet dropped when sending traffic to node NODE (%s) on port PORT/TCP.",
		},
		{
			name: "hostNetwork pod to pod", hook: "output", drop: false,
			from: (*scene).nodeEnd, to: (*scene).serverEnd, in: "", out: "vethserver",
			fromLine: "Node NODE %s", toLine: "Pod NAMESPACE/server %s",
			serverSees: "Packet dropped when receiving traffic from node NODE (%s) on port PORT/TCP.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScene(t)
			s.createHostNetworkPod(t, "host")
			s.logTCP(t, c.hook, c.drop)
			a := s.startReady(t, agent.Config{})
			var onClient, onServer []event
			lines := map[flow]total{}
			from, to := c.from(s), c.to(s)
			for _, family := range []int{4, 6} {
				packet := netlab.Packet{Source: from.in(family), Destination: to.in(family), Protocol: netlab.TCP, DestinationPort: 8000 + uint16(family)}
				p := burst{packet, family + 1}
				system.Must(t, from.Send(p.Packet, p.count))
				f := p.flow(s)
				f.Hook, f.In, f.Out = c.hook, c.in, c.out
				f.Source, f.Destination = s.fill(c.fromLine, p.Source, p), s.fill(c.toLine, p.Destination, p)
				lines[f] = p.size(t)
				if c.clientSees != "" {
					onClient = append(onClient, s.dropped(p.count, s.fill(c.clientSees, p.Destination, p)))
				}
				if c.serverSees != "" {
					onServer = append(onServer, s.dropped(p.count, s.fill(c.serverSees, p.Source, p)))
				}
			}
			system.Must(t, a.Stop(s.ctx))
			s.wantEvents(t, "client", onClient...)
			s.wantEvents(t, "server", onServer...)
			s.wantEvents(t, "host")
			wantFlows(t, a, lines)
		})
	}
}

func (s *scene) clientEnd() end  { return s.client }
func (s *scene) serverEnd() end  { return s.server }
func (s *scene) outsideEnd() end { return s.outside }
func (s *scene) nodeEnd() end    { return s.node }

// logTCP logs TCP to ports 8004 and 8006 in a hook of the node.
func (s *scene) logTCP(t *testing.T, hook string, drop bool) {
	t.Helper()
	s.run(t, "nft", fmt.Sprintf("add table inet ends; add chain inet ends c { type filter hook %s priority 0; }", hook))
	verdict := ""
	if drop {
		verdict = "drop"
	}
	s.run(t, "nft", "add rule inet ends c tcp dport { 8004, 8006 } log group 100 "+verdict)
}

// fill replaces NAMESPACE and NODE by the scene's names, %s by an address, and PORT by the
// packet's port.
func (s *scene) fill(text string, address netip.Addr, p burst) string {
	return strings.NewReplacer(
		"NAMESPACE", s.namespace, "NODE", s.nodeName, "%s", address.String(), "PORT", strconv.Itoa(int(p.DestinationPort)),
	).Replace(text)
}
