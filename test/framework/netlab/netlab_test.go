package netlab_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

func TestMain(m *testing.M) {
	code, err := netlab.Run(func() error { return nil }, m.Run)
	var unsupported *netlab.UnsupportedError
	if errors.As(err, &unsupported) && os.Getenv("CI") == "" {
		fmt.Fprintln(os.Stderr, "SKIP:", err)
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(code)
}

// TestPaths sends an exact number of datagrams between all hosts that are attached to a
// node, in both families, and counts the datagrams that arrive.
func TestPaths(t *testing.T) {
	node4, node6 := netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd00:1::1")
	client4, client6 := netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::5")
	server4, server6 := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")
	lab, err := netlab.NewLab()
	if err != nil {
		t.Fatal(err)
	}
	node, err := lab.NewNode("node-1", node4, node6)
	if err != nil {
		t.Fatal(err)
	}
	client, err := node.Attach("client", client4, client6)
	if err != nil {
		t.Fatal(err)
	}
	server, err := node.Attach("a-server-with-a-long-name", server4, server6)
	if err != nil {
		t.Fatal(err)
	}
	self, err := netlab.Current()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name             string
		from, to         *netlab.Namespace
		source, receiver netip.Addr
	}{
		{"pod to pod", client, server, client4, server4},
		{"pod to pod, IPv6", client, server, client6, server6},
		{"pod to node", client, node.Namespace, client4, node4},
		{"pod to node, IPv6", client, node.Namespace, client6, node6},
		{"node to pod", node.Namespace, server, node4, server4},
		{"node to pod, IPv6", node.Namespace, server, node6, server6},
		{"node to lab", node.Namespace, self, netip.MustParseAddr("198.19.0.1"), netlab.ControlAddress()},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := listen(t, c.to, "udp", netip.AddrPortFrom(c.receiver, 5353).String())
			packet := netlab.Packet{Source: c.source, Destination: c.receiver, Protocol: netlab.UDP, DestinationPort: 5353, PayloadLength: 10}
			if err := c.from.Send(packet, 25); err != nil {
				t.Fatal(err)
			}
			expectDatagrams(t, conn, c.source, 25)
		})
	}
}

// listen opens a packet socket in a namespace, and closes it after the test.
func listen(t *testing.T, ns *netlab.Namespace, network, address string) net.PacketConn {
	t.Helper()
	var conn net.PacketConn
	err := ns.Do(func() (err error) {
		conn, err = new(net.ListenConfig).ListenPacket(t.Context(), network, address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// expectDatagrams expects exactly the datagrams that Send sent.
func expectDatagrams(t *testing.T, conn net.PacketConn, source netip.Addr, count int) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range count {
		n, from, err := conn.ReadFrom(make([]byte, 100))
		if err != nil {
			t.Fatalf("after %d of %d datagrams: %v", i, count, err)
		}
		want := netip.AddrPortFrom(source, uint16(40000+i)).String()
		if n != 10 || from.String() != want {
			t.Fatalf("datagram %d: %d bytes from %s, want 10 from %s", i, n, from, want)
		}
	}
	// An additional datagram would have come between these.
	if err := conn.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, from, err := conn.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("datagram %d, from %s", count+1, from)
	}
}

// TestEcho sends an echo request and expects the other kernel's reply, which
// proves checksums and lengths.
func TestEcho(t *testing.T) {
	ns := newNamespace(t)
	for network, address := range map[string]netip.Addr{"ip4:icmp": netip.MustParseAddr("127.0.0.1"), "ip6:58": netip.IPv6Loopback()} {
		conn := listen(t, ns, network, address.String())
		if err := ns.Send(netlab.Packet{Source: address, Destination: address, Protocol: netlab.ICMP}, 1); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for _, want := range map[string][]byte{"ip4:icmp": {8, 0}, "ip6:58": {128, 129}}[network] {
			buf := make([]byte, 100)
			if _, _, err := conn.ReadFrom(buf); err != nil || buf[0] != want {
				t.Errorf("%s: type %d, %v; want %d", network, buf[0], err, want)
			}
		}
	}
}

func newNamespace(t *testing.T) *netlab.Namespace {
	t.Helper()
	ns, err := netlab.NewNamespace(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// TestIsolation checks that processes of the lab see neither the machine's devices nor
// its processes.
func TestIsolation(t *testing.T) {
	if os.Getpid() != 1 {
		t.Errorf("the lab's process id is %d, want 1", os.Getpid())
	}
	links, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(links)), "\n")[2:] {
		device, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		if device != "lo" && !strings.HasPrefix(device, "node") {
			t.Errorf("device %q is in the lab", device)
		}
	}
}

func TestSetnsBack(t *testing.T) {
	before, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	ns := newNamespace(t)
	failed := errors.New("failed")
	if err := ns.Do(func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("Do returned %v, want its function's error", err)
	}
	after, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil || before != after {
		t.Errorf("in %s after Do, was in %s (%v)", after, before, err)
	}
}
