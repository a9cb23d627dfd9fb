package resolve

import (
	"net/netip"
	"strings"
	"time"
)

// Lookup returns the endpoint that had addr when a packet was seen at the time at,
// as far as is known now. See LookupBetween.
func (r *Resolver) Lookup(addr netip.Addr, at time.Time) Endpoint {
	e, _ := r.LookupBetween(addr, at, at)
	return e
}

// LookupBetween returns the endpoint that had addr at both ends of the time from
// first to last, in which a flow's packets were seen. It neither blocks nor does
// I/O. Kind is Unknown
//
//   - with Ambiguous set, if two pods may have had addr, if it was not the same
//     endpoint at both times, or if the watch of pods has been silent for too long;
//   - for an address of a pod network that no pod is known to have had;
//   - for an address that two Nodes or Services have;
//   - for every address before Synced.
//
// If again is not 0, more may become known: look up again after that time. It becomes 0
// some time after the packets, see Config.Wait and Config.Hold.
func (r *Resolver) LookupBetween(addr netip.Addr, first, last time.Time) (e Endpoint, again time.Duration) {
	s := span{first: first.UnixNano(), last: last.UnixNano(), now: r.now()}
	result := r.lookup(addr, s.last, s)
	if s.first != s.last && (!result.Ambiguous || result.again > 0) { // a clock step may put the first last
		result = same(r.lookup(addr, s.first, s), result)
	}
	return result.Endpoint, result.again
}

// Count counts an endpoint that is reported, after all look-ups for it.
func (r *Resolver) Count(e *Endpoint) {
	r.metrics.lookups[e.Kind].Inc()
	if e.Ambiguous {
		r.metrics.ambiguous.Inc()
	}
}

// span is when a flow's packets were seen, and now, in Unix nanoseconds.
type span struct{ first, last, now int64 }

// found is what a lookup found.
type found struct {
	Endpoint
	again time.Duration // when more may be known; 0 if nothing more is going to be
}

// same returns the endpoint that an address had at two times.
func same(first, last found) found {
	switch {
	case first.Ambiguous && first.again <= 0:
		return first
	case first.again > 0 && last.again > 0:
		last.again = min(first.again, last.again)
		last.Ambiguous = first.Ambiguous || last.Ambiguous
		return last
	case first.again > 0:
		return first
	case last.again > 0:
		return last
	case first.Kind == last.Kind && first.UID == last.UID && first.Namespace == last.Namespace && first.Name == last.Name:
		return last
	}
	return ambiguous(last.IP)
}

// IsLocalPod reports whether a pod of this node has addr now. It costs less than
// Lookup and asks nobody.
func (r *Resolver) IsLocalPod(addr netip.Addr) bool { return r.history.local(addr) }

// pending is an address of which more may be known later, if again is more than 0.
func pending(addr netip.Addr, again time.Duration) found {
	return found{Endpoint: Endpoint{IP: addr}, again: max(again, 0)}
}

func unknown(addr netip.Addr) found { return found{Endpoint: Endpoint{IP: addr}} }

func ambiguous(addr netip.Addr) found { return found{Endpoint: Endpoint{IP: addr, Ambiguous: true}} }

// lookup is the endpoint at one time of the span.
func (r *Resolver) lookup(addr netip.Addr, at int64, s span) found {
	if !addr.IsValid() || addr.IsUnspecified() || !r.Synced() {
		return unknown(addr)
	}
	p, ownerState := r.history.find(addr, at)
	if ownerState == ownerNone {
		return r.notOwned(addr, at, s)
	}
	return r.judged(addr, p, ownerState, at, s)
}

// judged is the endpoint of an address that pods have had.
func (r *Resolver) judged(addr netip.Addr, p *pod, ownerState ownerState, at int64, s span) found {
	switch ownerState {
	case ownerFound:
		return found{Endpoint: r.podEndpoint(addr, p)}
	case ownerPending:
		return pending(addr, r.left(at, s.now, r.cfg.Skew))
	case ownerUnproven:
		r.prober.want()
		unproven := ambiguous(addr)
		unproven.again = max(0, min(r.left(s.last, s.now, r.cfg.Hold), lookupAgain))
		return unproven
	}
	return ambiguous(addr)
}

// notOwned is the endpoint of an address that no watched pod has had.
func (r *Resolver) notOwned(addr netip.Addr, at int64, s span) found {
	if name, n := r.nodes.find(addr); n > 0 {
		return named(addr, Node, "", name, n)
	}
	if key, n := r.services.find(addr); n > 0 {
		namespace, name, _ := strings.Cut(key, "/")
		return named(addr, Service, namespace, name, n)
	}
	if p, ownerState := r.history.announcing(addr, at); ownerState != ownerNone {
		return r.judged(addr, p, ownerState, at, s)
	}
	if r.asks(addr) {
		if e, ok := r.peerEndpoint(addr, at, s); ok {
			return e
		}
	}
	again := r.waitForPod(addr, at, s)
	if r.nodes.gives(addr) {
		return pending(addr, again)
	}
	name := r.externalName(addr) // asked for in any case: it is wanted soon
	if again > 0 {
		return pending(addr, again)
	}
	return found{Endpoint: Endpoint{IP: addr, Kind: External, Name: name}}
}

// named is a Node or Service, if it is the only one of n.
func named(addr netip.Addr, kind Kind, namespace, name string, n int) found {
	if n > 1 {
		return unknown(addr)
	}
	return found{Endpoint: Endpoint{IP: addr, Kind: kind, Namespace: namespace, Name: name}}
}

// peerEndpoint is the endpoint of an address that the API server is asked
// about; ok is false if it knows of none.
func (r *Resolver) peerEndpoint(addr netip.Addr, at int64, s span) (e found, ok bool) {
	known, ownerState, again := r.peer(addr, at)
	switch ownerState {
	case ownerPending:
		return pending(addr, min(again, r.left(at, s.now, r.cfg.Wait))), true
	case ownerNone:
		return named(addr, Node, "", known.node, 1), known.node != ""
	}
	return r.judged(addr, known.pod, ownerState, at, s), true
}

// asks reports whether the API server is asked about addr. It is not asked about addresses
// of this node's own pod network, whose owners are watched.
func (r *Resolver) asks(addr netip.Addr) bool {
	return r.peers != nil && r.maybePod(addr) && !r.nodes.gives(addr)
}

// peer returns what the API server said about addr, and whether that holds for a packet
// seen at the time at. If the answer is too old, peer asks again: until the new answer
// comes, the result is pending, and again is when to look.
func (r *Resolver) peer(addr netip.Addr, at int64) (p peer, v ownerState, again time.Duration) {
	now := r.clock.steady()
	known := r.peers.get(addr)
	if known.known {
		v = known.value.judge(at, known.until, now, r.history.skew)
		if v != ownerPending || now < known.until {
			return known.value, v, time.Duration(known.until - now)
		}
	}
	if !r.peers.want(addr) {
		return peer{}, ownerNone, 0
	}
	return peer{}, ownerPending, lookupAgain
}

// externalName is the reverse DNS name of addr, "" if it is not known yet. An expired
// name is used until there is a new one.
func (r *Resolver) externalName(addr netip.Addr) string {
	if r.names == nil || !hasName(addr) {
		return ""
	}
	known := r.names.get(addr)
	if !known.known || r.clock.steady() >= known.until {
		r.names.want(addr)
	}
	return known.value
}

func (r *Resolver) podEndpoint(addr netip.Addr, p *pod) Endpoint {
	return Endpoint{
		IP:             addr,
		Kind:           Pod,
		Namespace:      p.namespace(),
		Name:           p.name(),
		UID:            p.eventUID(),
		Workload:       p.workloadName(),
		Identifier:     p.identifier(r.cfg.Identifier),
		NodeName:       p.node.Value(),
		Labels:         p.given().labels,
		Ports:          p.given().ports,
		Partial:        p.cuts&(cutLabels|cutPorts) != 0,
		EventsDisabled: !r.wantsEvents(p),
	}
}

// wantsEvents reports whether a pod gets events. Its own annotation comes before that of
// its namespace.
func (r *Resolver) wantsEvents(p *pod) bool {
	if p.events != unsaid {
		return p.events == wanted
	}
	return r.namespaces.wants(p.namespace())
}
