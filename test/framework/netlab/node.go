package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// gateways returns the gateways of all hosts that are attached to a node. Each device of
// the node has both addresses, as with CNI plugins that route.
func gateways() (v4, v6 netip.Addr) {
	return netip.AddrFrom4([4]byte{169, 254, 1, 1}), netip.MustParseAddr("fe80::1")
}

// Node is the namespace of a cluster's node. It routes between the hosts that are attached
// to it, and reaches the lab at ControlAddress.
type Node struct {
	*Namespace
	addresses map[bool]netip.Addr // by Is6

	mu       sync.Mutex
	attached int
}

// configure enables routing and adds the node's addresses. They are on lo, because they
// belong to no link.
func (n *Node) configure(addresses []netip.Addr) error {
	return n.Do(func() error {
		for key, value := range map[string]string{
			"net/ipv4/conf/all/forwarding": "1", "net/ipv6/conf/all/forwarding": "1",
			"net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/default/rp_filter": "0",
		} {
			if err := writeSysctl(key, value); err != nil {
				return err
			}
		}
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		for _, a := range addresses {
			n.addresses[a.Is6()] = a
			if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: hostNet(a), Flags: unix.IFA_F_NODAD}); err != nil {
				return fmt.Errorf("address %s: %w", a, err)
			}
		}
		return nil
	})
}

// Attach creates a namespace with the addresses: a pod, or an outside host. It has a
// default route through the node, and the node routes to it. Its device is eth0. The
// node's device is named "veth" and the name, shortened to the length of a device name.
func (n *Node) Attach(name string, addresses ...netip.Addr) (*Namespace, error) {
	ns, err := NewNamespace(name)
	if err != nil {
		return nil, err
	}
	gateway4, gateway6 := gateways()
	err = connect(
		port{ns: n.Namespace, device: n.device(name), addresses: []netip.Addr{gateway4, gateway6}, source: n.addresses},
		port{ns: ns, device: "eth0", addresses: addresses},
	)
	if err != nil {
		return nil, fmt.Errorf("attach %s to %s: %w", name, n.name, err)
	}
	for _, a := range addresses {
		gateway := gateway4
		if a.Is6() {
			gateway = gateway6
		}
		if err := routeDefault(ns, "eth0", gateway); err != nil {
			return nil, err
		}
	}
	return ns, nil
}

// device returns the name of the node's device for an attached namespace. A number keeps
// shortened names distinct.
func (n *Node) device(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.attached++
	number := strconv.Itoa(n.attached)
	return "veth" + name[:min(len(name), 11-len(number))] + number
}

// writeSysctl sets a sysctl of the calling thread's namespace.
func writeSysctl(key, value string) error {
	if err := os.WriteFile("/proc/sys/"+key, []byte(value), 0); err != nil {
		return unsupported("set "+key, err)
	}
	return nil
}
