package nflog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// logEgress logs packets that leave through two devices.
const logEgress = `
table netdev t {
	chain tun {
		type filter hook egress device "tun0" priority 0
		log prefix "tun" group 1 drop
	}
	chain veth {
		type filter hook egress device "veth0" priority 0
		log prefix "veth" group 1 drop
	}
}
`

// addDevices creates both devices and returns their indexes.
func addDevices(ns *netlab.Namespace) (tun, veth int, err error) {
	links := []netlink.Link{
		&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tun0"}, Mode: netlink.TUNTAP_MODE_TUN},
		&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "veth0"}, PeerName: "veth1"},
	}
	err = ns.Do(func() error {
		for _, link := range links {
			if err := netlink.LinkAdd(link); err != nil {
				return fmt.Errorf("add %s: %w", link.Attrs().Name, err)
			}
			if err := netlink.LinkSetUp(link); err != nil {
				return err
			}
		}
		return nil
	})
	return links[0].Attrs().Index, links[1].Attrs().Index, err
}

// sendBy sends bytes unchanged through a device. It ignores the error that the rule's drop
// causes.
func sendBy(ns *netlab.Namespace, device int, b []byte) error {
	return ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		err = unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: device})
		if errors.Is(err, unix.ENOBUFS) {
			return nil
		}
		return err
	})
}

// TestEgress sends a packet through a TUN device, which has no link-layer header, and
// through an Ethernet device. The packet's source address has the same bytes as the type of
// an Ethernet frame.
func TestEgress(t *testing.T) {
	ns := newNamespace(t)
	tun, veth, err := addDevices(ns)
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") == "" {
		t.Skip("no TUN devices here: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	rules(t, ns, logEgress)
	r := open(t, ns, nflog.Config{Group: 1})
	packet := slices.Concat([]byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 8, 0, 0x45, 9, 10, 0, 0, 7}, []byte{0, 9, 0, 9, 0, 8, 0, 0})
	frame := slices.Concat([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00}, packet)
	if err := errors.Join(sendBy(ns, tun, packet), sendBy(ns, veth, frame)); err != nil {
		t.Fatal(err)
	}
	links := runLinks(t, ns)
	got := map[string]bool{}
	deadline := time.Now().Add(10 * time.Second)
	for len(got) < 2 && time.Now().Before(deadline) {
		err := ns.Do(func() error {
			_, err := r.Read(deadline, func(p *nflog.Packet) {
				if p.EtherType != unix.ETH_P_IP {
					return // a packet of the kernel, such as a router solicitation
				}
				got[string(p.Prefix)] = true
				if network := p.Network(links); !bytes.Equal(network, packet) {
					t.Errorf("at %s: %x of %x, want %x", p.Prefix, network, p.Payload, packet)
				}
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(got) < 2 {
		t.Errorf("packets came from %v alone", got)
	}
}

func htons(n uint16) uint16 { return n<<8 | n>>8 }
