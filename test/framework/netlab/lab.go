package netlab

import (
	"fmt"
	"net/netip"
	"strconv"
	"sync"

	"github.com/vishvananda/netlink"
)

// ControlAddress is the address at which nodes reach the lab. Servers that run in the lab,
// such as the API server, listen there. 198.18.0.0/15 is reserved for test networks
// (RFC 2544).
func ControlAddress() netip.Addr { return netip.AddrFrom4([4]byte{198, 18, 0, 1}) }

// Lab creates nodes. It represents the namespace that Run created.
type Lab struct {
	self *Namespace

	mu    sync.Mutex
	nodes int // number of nodes so far, for the addresses of their links to the lab
}

// NewLab prepares the lab's own namespace. Call it once, inside of Run.
func NewLab() (*Lab, error) {
	self, err := Current()
	if err != nil {
		return nil, err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	if err := netlink.AddrAdd(lo, &netlink.Addr{IPNet: hostNet(ControlAddress())}); err != nil {
		return nil, fmt.Errorf("lab: address %s: %w", ControlAddress(), err)
	}
	return &Lab{self: self}, nil
}

// NewNode creates a node with the given addresses, at most one of each family.
func (l *Lab) NewNode(name string, addresses ...netip.Addr) (*Node, error) {
	ns, err := NewNamespace(name)
	if err != nil {
		return nil, err
	}
	n := &Node{Namespace: ns, addresses: map[bool]netip.Addr{}}
	if err := n.configure(addresses); err != nil {
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	if err := l.join(n); err != nil {
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	return n, nil
}

// join links the node to the lab.
func (l *Lab) join(n *Node) error {
	l.mu.Lock()
	l.nodes++
	number := l.nodes
	l.mu.Unlock()
	own := netip.AddrFrom4([4]byte{198, 19, byte(number >> 8), byte(number)})
	control := ControlAddress()
	return connect(
		port{ns: l.self, device: "node" + strconv.Itoa(number), addresses: []netip.Addr{control}, source: map[bool]netip.Addr{false: control}},
		port{ns: n.Namespace, device: "control", addresses: []netip.Addr{own}, source: map[bool]netip.Addr{false: own}},
	)
}
