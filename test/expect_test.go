package test

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// event holds the columns of an event in kubectl's output, without its times.
type event struct {
	Type, Reason, Component, Host string
	Count                         int32
	Message                       string
}

func newEvent(e *corev1.Event) event {
	return event{e.Type, e.Reason, e.Source.Component, e.Source.Host, e.Count, e.Message}
}

// dropped returns the event that the scene's agent writes with default flags.
func (s *scene) dropped(packets int, message string) event {
	return event{"Warning", "PacketDrop", "kube-nflog", s.nodeName, int32(packets), message}
}

// wantEvents compares all events about a pod with the wanted ones.
func (s *scene) wantEvents(t *testing.T, pod string, want ...event) {
	t.Helper()
	if diff := s.diffEvents(t, pod, want); diff != "" {
		t.Errorf("events on pod %s, -want +got:\n%s", pod, diff)
	}
}

// awaitEvents waits until the events about a pod are the wanted ones.
func (s *scene) awaitEvents(t *testing.T, pod string, want ...event) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for diff := s.diffEvents(t, pod, want); diff != ""; diff = s.diffEvents(t, pod, want) {
		select {
		case <-s.ctx.Done():
			t.Fatalf("events on pod %s after a minute, -want +got:\n%s", pod, diff)
		case <-tick.C:
		}
	}
}

func (s *scene) diffEvents(t *testing.T, pod string, want []event) string {
	t.Helper()
	got := s.listEvents(t, pod)
	byMessage := func(a, b event) int { return cmp.Compare(a.Message, b.Message) }
	slices.SortFunc(got, byMessage)
	slices.SortFunc(want, byMessage)
	return gocmp.Diff(want, got)
}

// flow is what the JSON lines of one flow have in common.
type flow struct {
	Group               uint16
	Prefix, Hook, Node  string
	In, Out             string // without the number of the device
	Family, Protocol    string
	Source, Destination string // "Pod shop/client 10.0.0.5"
	Port                uint16
	ICMP                string // "8/0"
	TCPFlags            string
}

// total is the sum over a flow's lines.
type total struct{ Packets, Bytes uint64 }

// flows adds up an agent's lines by flow.
func flows(t *testing.T, a *agent.Agent) map[flow]total {
	t.Helper()
	lines, err := a.Lines()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[flow]total{}
	for _, l := range lines {
		if l.FirstSeen.IsZero() || l.LastSeen.Before(l.FirstSeen) || time.Since(l.LastSeen) > patience {
			t.Errorf("a line's times are %v to %v", l.FirstSeen, l.LastSeen)
		}
		f := flow{
			l.Group, l.Prefix, l.Hook, l.Node, device(l.In), device(l.Out), l.Family, l.Protocol,
			endpoint(l.Source), endpoint(l.Destination), l.Destination.Port, "", l.TCPFlags,
		}
		if l.ICMPType != nil && l.ICMPCode != nil {
			f.ICMP = fmt.Sprintf("%d/%d", *l.ICMPType, *l.ICMPCode)
		}
		sum := sums[f]
		sums[f] = total{sum.Packets + l.Packets, sum.Bytes + l.Bytes}
	}
	return sums
}

// device removes the number that netlab adds to the names of the node's devices.
func device(name string) string {
	for len(name) > 0 && name[len(name)-1] >= '0' && name[len(name)-1] <= '9' {
		name = name[:len(name)-1]
	}
	return name
}

func endpoint(e agent.Endpoint) string {
	switch {
	case e.Namespace != "":
		return e.Kind + " " + e.Namespace + "/" + e.Name + " " + e.IP
	case e.Name != "":
		return e.Kind + " " + e.Name + " " + e.IP
	}
	return e.Kind + " " + e.IP
}

// pod returns endpoint's text for an address of a pod in the scene.
func (s *scene) pod(name string, address netip.Addr) string {
	return fmt.Sprintf("Pod %s/%s %s", s.namespace, name, address)
}

// wantFlows adds up an agent's JSON lines by flow and compares them with the wanted ones.
func wantFlows(t *testing.T, a *agent.Agent, want map[flow]total) {
	t.Helper()
	if diff := gocmp.Diff(want, flows(t, a)); diff != "" {
		t.Errorf("JSON lines, -want +got:\n%s", diff)
	}
}

// burst is a number of packets of one kind.
type burst struct {
	netlab.Packet
	count int
}

// size returns the number of packets and the sum of the lengths in their IP headers.
func (b burst) size(t *testing.T) total {
	t.Helper()
	var sum total
	for i := range b.count {
		p, err := b.Bytes(i)
		if err != nil {
			t.Fatal(err)
		}
		sum.Packets++
		sum.Bytes += uint64(len(p))
	}
	return sum
}

// flow returns the flow of the packets as the node's forward hook logs it, without its
// ends.
func (b burst) flow(s *scene) flow {
	f := flow{
		Group: group, Hook: "forward", Node: s.nodeName,
		Family: "IPv4", Protocol: string(b.Protocol), Port: b.DestinationPort,
	}
	if b.Source.Is6() {
		f.Family = "IPv6"
	}
	switch {
	case b.Protocol == netlab.TCP:
		f.TCPFlags = "SYN"
	case b.Protocol == netlab.ICMP && b.Source.Is4():
		f.ICMP = "8/0"
	case b.Protocol == netlab.ICMP:
		f.ICMP, f.Protocol = "128/0", "ICMPv6"
	}
	return f
}

// target returns what was denied, as in events: " on port 8080/TCP".
func (b burst) target() string {
	switch {
	case b.Protocol == netlab.ICMP && b.Source.Is4():
		return " (ICMP echo-request)"
	case b.Protocol == netlab.ICMP:
		return " (ICMPv6 echo-request)"
	}
	return fmt.Sprintf(" on port %d/%s", b.DestinationPort, b.Protocol)
}
