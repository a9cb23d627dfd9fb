package netlab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// port is one end of a veth pair.
type port struct {
	ns        *Namespace
	device    string
	addresses []netip.Addr
	source    map[bool]netip.Addr // by Is6: preferred on routes to the other end
}

// connect joins a and b by a veth pair. Each end has its addresses, and for each address
// of the other end a host route and a permanent neighbour entry. So the first packet
// needs no ARP and no neighbour discovery, and only the packets of the test are on the
// wire.
func connect(a, b port) error {
	pair := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: a.device},
		PeerName:      b.device,
		PeerNamespace: netlink.NsFd(b.ns.fd),
	}
	if err := a.ns.Do(func() error { return netlink.LinkAdd(pair) }); err != nil {
		return fmt.Errorf("veth %s in %s to %s in %s: %w", a.device, a.ns.name, b.device, b.ns.name, err)
	}
	macA, err := a.up()
	if err != nil {
		return err
	}
	macB, err := b.up()
	if err != nil {
		return err
	}
	if err := a.reach(b, macB); err != nil {
		return err
	}
	return b.reach(a, macA)
}

// up gives the port its addresses, sets it up and returns its MAC address.
func (p port) up() (net.HardwareAddr, error) {
	var mac net.HardwareAddr
	err := p.ns.Do(func() error {
		// The kernel must not add a link-local address, or it would send router solicitations.
		if err := writeSysctl("net/ipv6/conf/"+p.device+"/addr_gen_mode", "1"); err != nil {
			return err
		}
		link, err := netlink.LinkByName(p.device)
		if err != nil {
			return err
		}
		mac = link.Attrs().HardwareAddr
		for _, a := range p.addresses {
			if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: hostNet(a), Flags: unix.IFA_F_NODAD}); err != nil {
				return fmt.Errorf("address %s: %w", a, err)
			}
		}
		return netlink.LinkSetUp(link)
	})
	if err != nil {
		return nil, fmt.Errorf("device %s in %s: %w", p.device, p.ns.name, err)
	}
	return mac, nil
}

// reach adds routes and neighbours for the addresses of the other end.
func (p port) reach(other port, mac net.HardwareAddr) error {
	return p.ns.Do(func() error {
		link, err := netlink.LinkByName(p.device)
		if err != nil {
			return fmt.Errorf("device %s in %s: %w", p.device, p.ns.name, err)
		}
		for _, a := range other.addresses {
			neighbour := &netlink.Neigh{
				LinkIndex: link.Attrs().Index, IP: a.AsSlice(), HardwareAddr: mac,
				Family: family(a), State: netlink.NUD_PERMANENT,
			}
			if err := netlink.NeighSet(neighbour); err != nil {
				return fmt.Errorf("neighbour %s in %s: %w", a, p.ns.name, err)
			}
			route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: hostNet(a), Scope: netlink.SCOPE_LINK}
			if src, ok := p.source[a.Is6()]; ok {
				route.Src = src.AsSlice()
			}
			if err := netlink.RouteReplace(route); err != nil {
				return fmt.Errorf("route to %s in %s: %w", a, p.ns.name, err)
			}
		}
		return nil
	})
}

// routeDefault adds a default route through gateway on device.
func routeDefault(n *Namespace, device string, gateway netip.Addr) error {
	err := n.Do(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		everything := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
		if gateway.Is6() {
			everything = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
		}
		return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: everything, Gw: gateway.AsSlice()})
	})
	if err != nil {
		return fmt.Errorf("default route in %s: %w", n.name, err)
	}
	return nil
}

func hostNet(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

func family(a netip.Addr) int {
	if a.Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// Move moves a device to another namespace. There it is down and has no addresses. It
// keeps its index if that index is free.
func (n *Namespace) Move(device string, to *Namespace) error {
	err := n.Do(func() error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		return netlink.LinkSetNsFd(link, to.fd)
	})
	if err != nil {
		return fmt.Errorf("move %s from %s to %s: %w", device, n.name, to.name, err)
	}
	return nil
}
