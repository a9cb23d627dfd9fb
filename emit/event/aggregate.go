package event

import (
	"hash/maphash"
	"net/netip"
	"strings"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/resolve"
)

const (
	maxAggregatePeers   = 65536  // addresses that one aggregate tells apart
	maxAllPeers         = 131072 // addresses that all aggregates together tell apart
	maxAggregateTargets = 65536  // ports and ICMP kinds that one aggregate tells apart
	maxAllTargets       = 131072 // ports and ICMP kinds that all together tell apart
	maxTop              = 16     // candidates for the busiest peers
	shownTop            = 3
)

// rollup sums up the flows of one object and direction that got no event
// object of their own: how many peers, how many ports, and the busiest.
type aggregate struct {
	peers       map[uint64]struct{} // hashes of addresses
	targets     map[target]struct{}
	morePeers   bool // there were more than could be told apart
	moreTargets bool
	top         []heavyHitter
	reasons     reasons
	codes       codeSet
}

// candidate is one of the busiest (peer, target) pairs, by the space-saving
// scheme: a newcomer takes the place of the least busy and inherits its count,
// so that packets - inherited is what it surely had.
type heavyHitter struct {
	endpoint           resolve.Endpoint
	target             target
	packets, inherited uint64
}

// distinct is what the aggregates of a correlator share: the seed of their hashes
// and how many more addresses and targets they may hold together.
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
		r.morePeers = true // it stands for many
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

// release gives what it held back to the correlator's allowance.
func (r *aggregate) release(d *aggregateRoom) {
	d.peerRoom += len(r.peers)
	d.targetRoom += len(r.targets)
}

// text returns the aggregate's message, of any length.
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

// podOrAddress names a peer briefly: a list has no room for both.
func podOrAddress(ep *resolve.Endpoint) string {
	switch {
	case ep.Kind == resolve.Pod && ep.Name == "": // hidden
		return ep.IP.String() + " in " + ep.Namespace
	case ep.Kind == resolve.Pod:
		return podText(ep)
	}
	return ep.IP.String()
}
