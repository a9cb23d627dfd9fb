package test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// TestDeviceHooks logs packets in the ingress and egress hooks of a device. Each family of
// tables has its own numbers for these hooks.
func TestDeviceHooks(t *testing.T) {
	system.Need(t, "nft")
	tests := []struct {
		name, table, device, hook string
		in, out                   string // the devices in the lines
	}{
		{"netdev ingress", "netdev t", "vethclient", "ingress", "vethclient", ""},
		{"netdev egress", "netdev t", "vethserver", "egress", "", "vethserver"},
		{"inet ingress", "inet t", "vethclient", "ingress", "vethclient", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			s.run(t, "nft", fmt.Sprintf(`table %s { chain c {
				type filter hook %s device %q priority 0
				ip daddr %s log prefix "device" group 100 drop;
			}; }`, tt.table, tt.hook, s.deviceOf(t, tt.device), s.server.v4))
			a := s.startReady(t, agent.Config{})
			p := s.tcp(8080, 3)
			system.Must(t, s.client.Send(p.Packet, p.count))
			system.Must(t, a.Stop(s.ctx))
			f := p.flow(s)
			f.Prefix, f.Hook, f.In, f.Out = "device", tt.hook, tt.in, tt.out
			f.Source, f.Destination = s.pod("client", p.Source), s.pod("server", p.Destination)
			wantFlows(t, a, map[flow]total{f: p.size(t)})
			s.wantEvents(t, "server", s.received(p, ` (NFLOG prefix "device")`))
		})
	}
}

// deviceOf returns the node's device whose name begins with name.
func (s *scene) deviceOf(t *testing.T, name string) string {
	t.Helper()
	var found string
	err := s.router.Do(func() error {
		devices, err := net.Interfaces()
		for _, d := range devices {
			if strings.HasPrefix(d.Name, name) {
				found = d.Name
			}
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("the node has no device %s (%v)", name, err)
	}
	return found
}
