package resolve

import (
	"net/netip"
	"slices"
)

// announce takes in what p's annotation says of its addresses, in place of
// what old's did. It returns the addresses that are new. They are p's since it
// was heard: whoever writes the annotation could not make it older.
func (o *owners) announce(old, p *pod, now int64) (fresh []netip.Addr) {
	since := now
	if old != nil && slices.Equal(slices.Collect(old.announced()), slices.Collect(p.announced())) {
		since = old.from
	}
	o.retract(old)
	if !p.announces || p.finished != 0 {
		return nil
	}
	p.from, p.ready = since, false
	for addr := range p.announced() {
		o.announced.add(addr, p)
		if since == now {
			fresh = append(fresh, addr)
		}
	}
	return fresh
}

// retract forgets what the annotation of p said; p may be nil.
func (o *owners) retract(p *pod) {
	if p == nil {
		return
	}
	for addr := range p.addrsIf(true) {
		o.announced.remove(addr, p)
	}
}

// announcing returns the pod that had addr at the time at (Unix nanoseconds) by
// its annotation alone. Calico's CNI plugin writes that before the pod's first
// packet, the kubelet writes the status up to minutes later. But whoever may
// write a pod may write it too, so it counts only where all of this holds:
//
//  1. No pod's status has the address, or may have had it then; the caller has
//     asked find, and whether it is a Node's or a Service's.
//  2. Calico runs on the pod's node, and that node has pods whose status has
//     addresses of the same block; see calicoBlock. So nobody can take the
//     address of a host that is no pod.
//  3. No other pod announces it. Two cancel each other out: the status will
//     tell.
//  4. The packet is older than the skew, so that another pod that announces or
//     has the address would be known; before, the verdict is unsettled.
//  5. All pods that can have the address are watched, and no change from before
//     the time may be missing; else the verdict is stale.
func (o *owners) announcing(addr netip.Addr, at int64) (*pod, verdict) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	p, n := o.announced.get(addr)
	switch {
	case n != 1, o.live.get(addr) != nil, at < p.from-o.skew:
		return nil, nobody
	case !o.calico(p.node.Value(), addr), !o.hasNeighbour(addr, p), !o.whole(addr):
		return nil, nobody
	case o.contact.wasBlind(at, o.skew):
		return nil, nobody
	case o.now() < at+o.skew:
		return nil, unsettled
	}
	if v := o.current(at); v != owned {
		return nil, v
	}
	return p, owned
}

// calicoBlock is how many addresses, as bits, Calico's IPAM gives a node at a
// time, unless told otherwise: /26 of IPv4, /122 of IPv6.
const calicoBlock = 6

// hasNeighbour reports whether the status of a pod of p's node has an address of
// the block that addr is in.
func (o *owners) hasNeighbour(addr netip.Addr, p *pod) bool {
	block, err := addr.Prefix(addr.BitLen() - calicoBlock)
	if err != nil {
		return false
	}
	for next := block.Addr(); block.Contains(next); next = next.Next() {
		if other := o.live.get(next); other != nil && other.node == p.node {
			return true
		}
	}
	return false
}

// mayAnnounce reports whether Calico runs on the node, and addr is one that it
// gives to pods: not the first two of a Node's own range, which stand for the
// network and the node's end of it.
func (r *Resolver) mayAnnounce(node string, addr netip.Addr) bool {
	if !r.nodes.hasCalico(node) {
		return false
	}
	prefix, ok := r.nodes.prefixOf(addr)
	return !ok || addr != prefix.Addr() && addr != prefix.Addr().Next()
}
