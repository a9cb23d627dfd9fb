package resolve

import (
	"net/netip"
	"slices"
)

// announce replaces what old's annotation announced by what p's annotation announces. It
// returns the new addresses. They belong to p only since now, because whoever wrote the
// annotation cannot have made it older.
func (o *ipHistory) announce(old, p *pod, now int64) (fresh []netip.Addr) {
	since := now
	if old != nil && slices.Equal(slices.Collect(old.announced()), slices.Collect(p.announced())) {
		since = old.from
	}
	switch {
	case p.finished != 0 || len(slices.Collect(p.claimed())) > 0:
		o.retract(old, now, now)
	case since == now: // the pod may still have an address that it does not announce any more
		o.retract(old, now, now+o.keep)
	default:
		o.unannounce(old)
	}
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

// retract forgets what p's annotation announced, and keeps a past announcement of it. p may be nil.
func (o *ipHistory) retract(p *pod, now, possibly int64) {
	if p == nil {
		return
	}
	for addr := range p.announced() {
		o.pastAnnouncements.add(addr, pastAnnouncement{uid: p.uid(), from: p.from, until: now, possibly: possibly}, now, o.keep)
	}
	o.unannounce(p)
}

func (o *ipHistory) unannounce(p *pod) {
	if p == nil {
		return
	}
	for addr := range p.announced() {
		o.announced.remove(addr, p)
	}
}

// maxPastAnnouncements bounds the addresses with past announcements. maxAssignments bounds the past announcements of each
// address.
const maxPastAnnouncements = 4096

// pastAnnouncements holds which pods announced an address and do not any more. Such a pod may have
// had the address without its status ever having it, or before its status had it. A past announcement
// names no pod. It only prevents that another pod is named for the moments around that
// pod's own start and end, because time stamps alone do not show there who had the address.
type pastAnnouncements struct {
	byAddr map[netip.Addr][]pastAnnouncement
	order  queue[ended]
	lost   int64 // the latest end of the past announcements that were forgotten too early
}

// pastAnnouncement is a pod's announcement of an address, and its time. If the pod has announced
// something else since, it may still have the address until possibly.
type pastAnnouncement struct {
	uid                   string // "" for several pods
	from, until, possibly int64
}

func (r pastAnnouncement) with(other pastAnnouncement) pastAnnouncement {
	if r.uid != other.uid {
		r.uid = ""
	}
	r.from, r.until, r.possibly = min(r.from, other.from), max(r.until, other.until), max(r.possibly, other.possibly)
	return r
}

func newPastAnnouncements() pastAnnouncements {
	return pastAnnouncements{byAddr: map[netip.Addr][]pastAnnouncement{}, lost: never}
}

func (r *pastAnnouncements) add(addr netip.Addr, heard pastAnnouncement, now, keep int64) {
	all, known := r.byAddr[addr]
	all = slices.DeleteFunc(all, func(old pastAnnouncement) bool { return old.possibly+keep < now })
	i := slices.IndexFunc(all, func(old pastAnnouncement) bool { return old.uid == heard.uid })
	switch {
	case i >= 0:
		all[i] = all[i].with(heard)
	case len(all) >= maxAssignments:
		all[1] = all[1].with(all[0])
		all = append(all[1:], heard)
	default:
		all = append(all, heard)
	}
	r.byAddr[addr] = all
	if known {
		return
	}
	r.order.push(ended{addr: addr, forget: heard.possibly + keep})
	if r.order.len() > maxPastAnnouncements {
		r.lost = max(r.lost, r.latest(r.order.first().addr))
		r.pop()
	}
}

// forget drops the addresses without a recent past announcement.
func (r *pastAnnouncements) forget(now, keep int64) {
	for r.order.len() > 0 && r.order.first().forget <= now {
		first := r.order.first()
		if again := r.latest(first.addr) + keep; again > now {
			r.order.pop()
			r.order.push(ended{addr: first.addr, forget: again})
			continue
		}
		r.pop()
	}
}

// latest returns the end of the last past announcement about addr.
func (r *pastAnnouncements) latest(addr netip.Addr) int64 {
	end := int64(never)
	for _, heard := range r.byAddr[addr] {
		end = max(end, heard.possibly)
	}
	return end
}

func (r *pastAnnouncements) pop() {
	delete(r.byAddr, r.order.first().addr)
	r.order.pop()
}

// announcedByOther reports whether a pod other than that of c may have had addr only by its
// announcement. possibly includes pods that announced something else since.
func (o *ipHistory) announcedByOther(addr netip.Addr, at int64, c assignment, possibly bool) bool {
	if len(o.announced) == 0 && len(o.pastAnnouncements.byAddr) == 0 || !o.calico(c.pod.node.Value(), addr) {
		return false
	}
	if c.possibleUntil != forever {
		if p, n := o.announced.get(addr); n > 1 || n == 1 && p.uid() != c.pod.uid() && p.from-o.skew <= at {
			return true
		}
	}
	if at <= o.pastAnnouncements.lost+o.skew {
		return true
	}
	for _, r := range o.pastAnnouncements.byAddr[addr] {
		until := r.until
		if possibly {
			until = r.possibly
		}
		if r.uid != c.pod.uid() && r.from-o.skew <= at && at <= until+o.skew {
			return true
		}
	}
	return false
}

// announcing returns the pod that had addr at the time at (Unix nanoseconds) only by its
// annotation. Calico's CNI plugin writes the annotation before the pod's first packet. The
// kubelet writes the status later, up to minutes later. But everybody who may write a pod
// may write its annotation too. So it counts only if all of these rules hold:
//
//  1. No pod's status has the address, or may have had it then. The caller has asked
//     find, and has checked Nodes and Services.
//  2. Calico runs on the pod's node, and that node has pods whose status has addresses
//     of the same block; see calicoBlock. So nobody can take the address of a host that
//     is no pod.
//  3. No other pod announces it. If two pods do, neither is named until the status
//     decides.
//  4. The packet is older than the skew, so that any other pod that announces or has the
//     address would be known. Before that the answer is pending.
//  5. All pods that can have the address are watched, and no change from before the time
//     may be missing. Otherwise the answer is unproven.
func (o *ipHistory) announcing(addr netip.Addr, at int64) (*pod, ownerState) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	p, n := o.announced.get(addr)
	switch {
	case n != 1, o.live.get(addr) != nil, at < p.from-o.skew:
		return nil, ownerNone
	case !o.calico(p.node.Value(), addr), !o.hasNeighbour(addr, p), !o.whole(addr):
		return nil, ownerNone
	case o.gaps.isInGap(at, o.skew):
		return nil, ownerNone
	case o.announcedByOther(addr, at, assignment{pod: p, possibleUntil: forever}, at < p.from+o.skew):
		return nil, ownerNone
	case o.now() < at+o.skew:
		return nil, ownerPending
	}
	if v := o.current(at + 2*o.skew); v != ownerFound {
		return nil, v
	}
	return p, ownerFound
}

// calicoBlock is the number of address bits in the block that Calico's IPAM gives a node at
// a time by default: /26 of IPv4, /122 of IPv6.
const calicoBlock = 6

// hasNeighbour reports whether the status of a pod of p's node has an address of addr's
// block.
func (o *ipHistory) hasNeighbour(addr netip.Addr, p *pod) bool {
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

// mayAnnounce reports whether Calico runs on the node and gives addr to pods. It does not
// give the first two addresses of a Node's own range to pods: they stand for the network
// and the node's end of it.
func (r *Resolver) mayAnnounce(node string, addr netip.Addr) bool {
	if !r.nodes.hasCalico(node) {
		return false
	}
	prefix, ok := r.nodes.prefixOf(addr)
	return !ok || addr != prefix.Addr() && addr != prefix.Addr().Next()
}
