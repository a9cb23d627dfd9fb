package nflog

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// bridged is a bridge with two veth ports in one namespace. It forwards frames from near's
// peer to far.
type bridged struct{ nearIndex int }

// newBridge creates the bridge and its ports.
func newBridge(t *testing.T, ns *netlab.Namespace) bridged {
	t.Helper()
	var b bridged
	err := ns.Do(func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("add bridge: %w", err)
		}
		for _, name := range []string{"near", "far"} {
			port := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MasterIndex: bridge.Index}, PeerName: name + "-peer"}
			if err := netlink.LinkAdd(port); err != nil {
				return fmt.Errorf("add port: %w", err)
			}
		}
		for _, name := range []string{"near-peer", "near", "far-peer", "far", "br0"} {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if err := netlink.LinkSetUp(link); err != nil {
				return err
			}
			if name == "near-peer" {
				b.nearIndex = link.Attrs().Index
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// send sends an IPv4 packet as a frame to an address that no port has.
func (b bridged) send(t *testing.T, ns *netlab.Namespace, packet []byte) {
	t.Helper()
	frame := append([]byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 0x08, 0x00}, packet...)
	err := ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: b.nearIndex, Halen: 6})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sendUDP sends datagrams through an ordinary socket, so that they have an owner.
func sendUDP(t *testing.T, ns *netlab.Namespace, to netip.AddrPort, count int) {
	t.Helper()
	err := ns.Do(func() error {
		c, err := net.ListenUDP("udp", nil)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		for range count {
			if _, err := c.WriteToUDPAddrPort([]byte("hello"), to); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
