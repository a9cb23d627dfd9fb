package resolve

import (
	"net/netip"
	"strings"
	"time"
)

// Lookup returns the endpoint that had addr when a packet was seen at the time
// at. It neither blocks nor does I/O: a reverse DNS name, or a pod that has to
// be asked for, is there at a later call. Kind is Unknown, and Ambiguous set,
// for an address that two pods may have had, or that one had by news that are
// too old. It is Unknown alone for one that Await may learn more of; for one of
// a pod network that no pod is known to have had; for one that two Nodes or
// Services have; and for every address before Synced.
func (r *Resolver) Lookup(addr netip.Addr, at time.Time) Endpoint {
	return r.LookupBetween(addr, at, at)
}

// LookupBetween returns the endpoint that had addr at both ends of the time
// from first to last, in which a flow's packets were seen. Where it was not the
// same one, the packets cannot be told apart, and the answer is Ambiguous. See
// Lookup for the rest.
func (r *Resolver) LookupBetween(addr netip.Addr, first, last time.Time) Endpoint {
	s := span{first: first.UnixNano(), last: last.UnixNano(), now: r.now()}
	result := r.lookup(addr, s.last, s)
	if s.first != s.last && !result.Ambiguous { // a clock step may put the first last
		result = same(r.lookup(addr, s.first, s), result)
	}
	e := result.Endpoint
	r.metrics.lookups[e.Kind].Inc()
	if e.Ambiguous {
		r.metrics.ambiguous.Inc()
	}
	return e
}

// span is when a flow's packets were seen, and now, in Unix nanoseconds.
type span struct{ first, last, now int64 }

// found is what a lookup found.
type found struct {
	Endpoint
	pending bool // Kind is Unknown, and Await may hold a flow for it
}

// same returns the endpoint that an address had at two times.
func same(first, last found) found {
	switch {
	case first.Ambiguous:
		return first
	case first.Kind == last.Kind && first.UID == last.UID && first.Namespace == last.Namespace && first.Name == last.Name:
		return last
	case first.pending || last.pending:
		return pending(last.IP)
	}
	return ambiguous(last.IP)
}

// IsLocalPod reports whether a pod of this node has addr now. It costs less than
// Lookup and asks nobody.
func (r *Resolver) IsLocalPod(addr netip.Addr) bool { return r.owners.local(addr) }

func pending(addr netip.Addr) found { return found{Endpoint: Endpoint{IP: addr}, pending: true} }

func unknown(addr netip.Addr) found { return found{Endpoint: Endpoint{IP: addr}} }

func ambiguous(addr netip.Addr) found { return found{Endpoint: Endpoint{IP: addr, Ambiguous: true}} }

// lookup is the endpoint at one time of the span.
func (r *Resolver) lookup(addr netip.Addr, at int64, s span) found {
	if !addr.IsValid() || addr.IsUnspecified() || !r.Synced() {
		return unknown(addr)
	}
	p, verdict := r.owners.find(addr, at)
	if verdict == nobody {
		return r.notOwned(addr, at, s)
	}
	return r.judged(addr, p, verdict, s)
}

// judged is the endpoint of an address that pods have had.
func (r *Resolver) judged(addr netip.Addr, p *pod, verdict verdict, s span) found {
	switch verdict {
	case owned:
		return found{Endpoint: r.podEndpoint(addr, p)}
	case unsettled:
		return pending(addr)
	case stale:
		r.prober.want()
		if s.now < s.last+int64(r.cfg.Hold) && r.waits.room() {
			return pending(addr)
		}
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
	if p, verdict := r.owners.announcing(addr, at); verdict != nobody {
		return r.judged(addr, p, verdict, s)
	}
	if r.asks(addr) {
		if e, ok := r.peerEndpoint(addr, at, s); ok {
			return e
		}
	}
	waits := r.mayYetBePod(addr, at, s.now)
	if r.nodes.gives(addr) {
		return found{Endpoint: Endpoint{IP: addr}, pending: waits}
	}
	name := r.externalName(addr) // asked for in any case: it is wanted soon
	if waits {
		return pending(addr)
	}
	return found{Endpoint: Endpoint{IP: addr, Kind: External, Name: name}}
}

// named is a Node or Service, if it is but one of n.
func named(addr netip.Addr, kind Kind, namespace, name string, n int) found {
	if n > 1 {
		return unknown(addr)
	}
	return found{Endpoint: Endpoint{IP: addr, Kind: kind, Namespace: namespace, Name: name}}
}

// peerEndpoint is the endpoint of an address that the API server is asked
// about; ok is false if it knows of none.
func (r *Resolver) peerEndpoint(addr netip.Addr, at int64, s span) (e found, ok bool) {
	known, verdict, _ := r.peer(addr, at)
	if verdict != nobody {
		return r.judged(addr, known.pod, verdict, s), true
	}
	return named(addr, Node, "", known.node, 1), known.node != ""
}

// asks says whether the API server is asked about addr. It is not about one of
// this node's own pod network: that one's owner comes by the watch.
func (r *Resolver) asks(addr netip.Addr) bool {
	return r.peers != nil && r.maybePod(addr) && !r.nodes.gives(addr)
}

// peer returns what the API server said about addr, and what that is worth for
// a packet seen at the time at. An answer that is too old it has asked for
// again: until then, or for the time retry, the verdict is unsettled.
func (r *Resolver) peer(addr netip.Addr, at int64) (p peer, v verdict, retry time.Duration) {
	now := r.clock.steady()
	known := r.peers.get(addr)
	if known.known {
		v = known.value.judge(at, known.until, now, r.owners.skew)
		if v != unsettled || now < known.until {
			return known.value, v, time.Duration(known.until - now)
		}
	}
	if !r.peers.want(addr) {
		return peer{}, nobody, 0
	}
	return peer{}, unsettled, r.cfg.Wait
}

// externalName is the reverse DNS name of addr as far as it is known. An old
// name does until there is a new one.
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

// wantsEvents says whether a pod is to get events: as it says itself, else as
// its namespace does.
func (r *Resolver) wantsEvents(p *pod) bool {
	if p.events != unsaid {
		return p.events == wanted
	}
	return r.namespaces.wants(p.namespace())
}
