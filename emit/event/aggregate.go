package event

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

const (
	maxAggregatePeers   = 65536  // addresses that one aggregate tells apart
	maxAllPeers         = 131072 // addresses that all aggregates together tell apart
	maxAggregateTargets = 65536  // ports and ICMP kinds that one aggregate tells apart
	maxAllTargets       = 131072 // ports and ICMP kinds that all together tell apart
	maxTop              = 16     // pairs that are counted to find the busiest
	shownTop            = 3
)

// aggregate sums up the flows of one object and direction that have no event of
// their own: how many peers, how many ports, and the busiest.
type aggregate struct {
	peers       map[uint64]struct{} // hashes of addresses
	targets     map[target]struct{}
	morePeers   bool // there were more than are counted
	moreTargets bool
	top         []heavyHitter
	reasons     reasons
	codes       codeSet
}

// heavyHitter is one of the busiest pairs of peer and target, found by the
// space-saving algorithm: a new pair replaces the least busy one and inherits its
// count. At least packets - inherited are its own.
type heavyHitter struct {
	endpoint           resolve.Endpoint
	target             target
	packets, inherited uint64
}

// aggregateRoom is what all aggregates share: the seed of their hashes, and how
// many more addresses and targets they may hold together.
type aggregateRoom struct {
	seed                 maphash.Seed
	peerRoom, targetRoom int
}

func newAggregate() *aggregate {
	return &aggregate{peers: map[uint64]struct{}{}, targets: map[target]struct{}{}}
}

// add counts an observation.
func (r *aggregate) add(d *aggregateRoom, o *observation) {
	r.reasons.add(o.why.Text, o.Packets)
	r.codes.add(o.Reason.Code)
	if o.Overflow {
		r.morePeers = true // the flow stands for many
		if !o.peer.IP.IsValid() {
			return
		}
	}
	r.addPeer(d, o.peer.IP)
	t := targetOf(&o.Flow)
	r.addTarget(d, t)
	r.addTop(o.peer, t, o.Packets)
}

func (r *aggregate) addPeer(d *aggregateRoom, addr netip.Addr) {
	hash := maphash.Comparable(d.seed, addr)
	if _, known := r.peers[hash]; known {
		return
	}
	if len(r.peers) >= maxAggregatePeers || d.peerRoom <= 0 {
		r.morePeers = true
		return
	}
	d.peerRoom--
	r.peers[hash] = struct{}{}
}

func (r *aggregate) addTarget(d *aggregateRoom, t target) {
	if _, known := r.targets[t]; known {
		return
	}
	if len(r.targets) >= maxAggregateTargets || d.targetRoom <= 0 {
		r.moreTargets = true
		return
	}
	d.targetRoom--
	r.targets[t] = struct{}{}
}

func (r *aggregate) addTop(peer *resolve.Endpoint, t target, packets uint64) {
	least := 0
	for i := range r.top {
		c := &r.top[i]
		if c.target == t && c.endpoint.IP == peer.IP {
			c.packets += packets
			return
		}
		if c.packets < r.top[least].packets {
			least = i
		}
	}
	if len(r.top) < maxTop {
		r.top = append(r.top, heavyHitter{endpoint: *peer, target: t, packets: packets})
		return
	}
	inherited := r.top[least].packets
	r.top[least] = heavyHitter{endpoint: *peer, target: t, packets: inherited + packets, inherited: inherited}
}

// release gives its room back.
func (r *aggregate) release(d *aggregateRoom) {
	d.peerRoom += len(r.peers)
	d.targetRoom += len(r.targets)
}

// text returns the message, of any length.
func (r *aggregate) text(d direction) string {
	noun := "source"
	if d == sending {
		noun = "destination"
	}
	var b strings.Builder
	b.WriteString("Packets dropped when ")
	b.WriteString(trafficText(d, r.peersText(noun)))
	if len(r.targets) > 0 {
		b.WriteString(" on " + moreThan(r.moreTargets) + r.targetsText())
	}
	if most := r.mostText(); most != "" {
		b.WriteString(" (most: " + most + ")")
	}
	if why := r.reasons.text(); why != "" {
		b.WriteString(": " + why)
	}
	b.WriteByte('.')
	return emit.Clean(b.String())
}

func (r *aggregate) peersText(noun string) string {
	if len(r.peers) == 0 {
		return "many " + noun + "s"
	}
	return moreThan(r.morePeers) + many(len(r.peers), noun)
}

// targetsText counts the targets: "3 ports", "3 ports and 2 other kinds".
func (r *aggregate) targetsText() string {
	ports := 0
	for t := range r.targets {
		if t.hasPort {
			ports++
		}
	}
	kinds := len(r.targets) - ports
	switch {
	case kinds == 0:
		return many(ports, "port")
	case ports == 0:
		return many(kinds, "kind") + " of packet"
	}
	return many(ports, "port") + " and " + many(kinds, "other kind")
}

// mostText lists the busiest pairs, most packets first.
func (r *aggregate) mostText() string {
	var shown []string
	most := r.busiest()
	for i := range most {
		c := &most[i]
		text := podOrAddress(&c.endpoint)
		if c.target.hasPort {
			text += " on " + c.target.String()
		} else {
			text += " (" + c.target.String() + ")"
		}
		shown = append(shown, text)
	}
	if len(r.top) > len(shown) {
		shown = append(shown, "…")
	}
	return strings.Join(shown, ", ")
}

// podOrAddress names a peer briefly, because a list has no room for both.
func podOrAddress(ep *resolve.Endpoint) string {
	switch {
	case ep.Kind == resolve.Pod && ep.Name == "": // its name is hidden
		return ep.IP.String() + " in " + ep.Namespace
	case ep.Kind == resolve.Pod:
		return podText(ep)
	}
	return ep.IP.String()
}

// busiest returns the pairs with most packets of their own, most first, at most
// shownTop. Equal pairs are sorted by address, so that a message does not change
// without a reason.
func (r *aggregate) busiest() []heavyHitter {
	sorted := slices.Clone(r.top)
	slices.SortFunc(sorted, func(a, b heavyHitter) int {
		return cmp.Or(
			cmp.Compare(b.packets-b.inherited, a.packets-a.inherited),
			a.endpoint.IP.Compare(b.endpoint.IP),
			cmp.Compare(a.target.String(), b.target.String()),
		)
	})
	return sorted[:min(shownTop, len(sorted))]
}

const (
	maxReasons     = 4   // reasons that one aggregate counts
	shownReasons   = 2   // reasons that its text names
	maxReasonBytes = 300 // of each
)

// reasons counts why the flows of an aggregate were dropped, by the space-saving
// algorithm as with heavyHitter.
type reasons struct {
	all  []reasonCount
	more bool // there were more than maxReasons reasons
}

// reasonCount counts the packets of a reason, "" for no reason. At least packets -
// inherited are its own.
type reasonCount struct {
	why                string
	packets, inherited uint64
}

// add counts a flow's packets.
func (r *reasons) add(why string, packets uint64) {
	why = emit.Cut(why, maxReasonBytes)
	least := 0
	for i := range r.all {
		c := &r.all[i]
		if c.why == why {
			c.packets += packets
			return
		}
		if c.packets < r.all[least].packets {
			least = i
		}
	}
	if len(r.all) < maxReasons {
		r.all = append(r.all, reasonCount{why: strings.Clone(why), packets: packets})
		return
	}
	r.more = true
	inherited := r.all[least].packets
	r.all[least] = reasonCount{why: strings.Clone(why), packets: inherited + packets, inherited: inherited}
}

// text returns the only reason, or the most common of several: "several reasons:
// denied by …; denied by …; …". It returns "" if no reason is known.
func (r *reasons) text() string {
	sorted := slices.Clone(r.all)
	slices.SortFunc(sorted, func(a, b reasonCount) int {
		return cmp.Or(cmp.Compare(b.packets-b.inherited, a.packets-a.inherited), cmp.Compare(a.why, b.why))
	})
	var shown []string
	for _, c := range sorted {
		if c.why != "" && len(shown) < shownReasons {
			shown = append(shown, c.why)
		}
	}
	switch {
	case len(shown) == 0:
		return ""
	case len(r.all) == 1:
		return shown[0]
	case len(r.all) > len(shown) || r.more:
		shown = append(shown, "…")
	}
	return "several reasons: " + strings.Join(shown, "; ")
}

// codeSet is a set of policy.ReasonCodes. Bits are indexes into policy.ReasonCodes().
type codeSet uint16

func (s *codeSet) add(code policy.ReasonCode) {
	if i := slices.Index(policy.ReasonCodes(), code); i >= 0 {
		*s |= 1 << i
	}
}

// String lists the codes, separated by commas.
func (s codeSet) String() string {
	var codes []string
	for i, code := range policy.ReasonCodes() {
		if s&(1<<i) != 0 {
			codes = append(codes, string(code))
		}
	}
	return strings.Join(codes, ",")
}
