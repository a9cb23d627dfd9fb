package enforcer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// probe is a packet and the answer of package policy for it. Its source port identifies it
// within the test.
type probe struct {
	from, to *end
	protocol corev1.Protocol
	port     uint16
	source   uint16
	answer   policy.Answer
}

func (p *probe) String() string {
	return fmt.Sprintf("%s (%s) → %s (%s) %d/%s: ingress %v %v, egress %v %v", p.from.Name, p.from.Addr, p.to.Name, p.to.Addr, p.port, p.protocol,
		p.answer.Ingress.Verdict, p.answer.Ingress.Policies, p.answer.Egress.Verdict, p.answer.Egress.Policies)
}

func (p *probe) denied() bool {
	return p.answer.Ingress.Verdict == policy.Denied || p.answer.Egress.Verdict == policy.Denied
}

// ask gives a probe its number and the answer of package policy.
func (c *cluster) ask(s *policy.Set, from, to *end, protocol corev1.Protocol, port uint16) *probe {
	c.probes++
	f := policy.Flow{Source: from.End, Destination: to.End, Protocol: protocol, Port: port}
	return &probe{from, to, protocol, port, 20000 + c.probes, s.Evaluate(&f)}
}

// lastPort is the port of the packet that follows all probes. The node itself sends it, and
// no policy can deny that.
const lastPort = 65000

// send sends the probes and returns those that arrived.
func (c *cluster) send(t *testing.T, probes []*probe) (delivered map[uint16]bool) {
	t.Helper()
	for _, p := range probes {
		packet := netlab.Packet{
			Source: p.from.Addr, Destination: p.to.Addr, Protocol: netlab.Protocol(p.protocol), SourcePort: p.source, DestinationPort: p.port,
		}
		if err := p.from.at.Send(packet, 1); err != nil {
			t.Fatal(err)
		}
	}
	c.probes++
	last := 20000 + c.probes
	for i := range c.ends {
		packet := netlab.Packet{Source: nodeAddress, Destination: c.ends[i].Addr, Protocol: netlab.UDP, SourcePort: last, DestinationPort: lastPort}
		if err := c.node.Send(packet, 1); err != nil {
			t.Fatal(err)
		}
	}
	delivered = map[uint16]bool{}
	for i := range c.ends {
		e := &c.ends[i]
		c.await(t, func() error {
			err := e.receive(delivered)
			if err == nil && !delivered[last] {
				err = fmt.Errorf("the last packet has not come to %s", e.Name)
			}
			return err
		})
		delete(delivered, last)
	}
	return delivered
}

// compare sends the probes, and compares what kube-router does with the answers of package
// policy. For dropped probes, which kube-router logs, it also checks the agent's report.
func (c *cluster) compare(t *testing.T, probes []*probe) (dropped int) {
	t.Helper()
	delivered := c.send(t, probes)
	for _, p := range probes {
		if delivered[p.source] == p.denied() {
			t.Errorf("kube-router delivers: %t; %v", delivered[p.source], p)
		}
		if p.denied() {
			dropped++
		}
	}
	if t.Failed() {
		return dropped
	}
	for _, p := range probes {
		if p.denied() {
			c.explained(t, p)
		}
	}
	return dropped
}

// explained compares the agent's line about a probe with the expected reason.
func (c *cluster) explained(t *testing.T, p *probe) {
	t.Helper()
	line := c.line(t, p)
	if want := explain.Denial(&p.answer).Text; line.Reason != want || line.Group != 100 || line.Prefix != "" {
		t.Errorf("%v: the agent says %q in group %d with prefix %q, want %q", p, line.Reason, line.Group, line.Prefix, want)
	}
}

// line waits for the agent's line about a probe.
func (c *cluster) line(t *testing.T, p *probe) (line agent.Line) {
	t.Helper()
	c.await(t, func() error {
		lines, err := c.agent.Lines()
		if err != nil {
			return err
		}
		for i := range lines {
			if lines[i].Source.Port == p.source {
				line = lines[i]
				return nil
			}
		}
		return fmt.Errorf("the agent has no line about %v", p)
	})
	return line
}

// listen opens a socket that sees every packet of a namespace.
func listen(t *testing.T, at *netlab.Namespace) int {
	t.Helper()
	fd := -1
	err := at.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(bigEndian(unix.ETH_P_IP)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Must(t, unix.Close(fd)) })
	return fd
}

func bigEndian(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// receive records the source ports of the packets that have arrived so far.
func (e *end) receive(seen map[uint16]bool) error {
	buffer := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(e.in, buffer, 0)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return err
		}
		if link, ok := from.(*unix.SockaddrLinklayer); ok && link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		header := int(buffer[0]&0xf) * 4
		if protocol := buffer[9]; n < header+4 || protocol == unix.IPPROTO_ICMP {
			continue
		}
		// Ports are at the same place in TCP, UDP and SCTP. Answers to probes never have
		// such a source port.
		seen[binary.BigEndian.Uint16(buffer[header:])] = true
	}
}
