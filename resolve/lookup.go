package resolve

import (
	"net/netip"
	"strings"
	"time"
)

// Lookup returns the endpoint that had addr when a packet was seen at the time
// at. It neither blocks nor does I/O: a reverse DNS name, or a pod that has to
// be asked for, is there at a later call. Kind is Unknown, and Ambiguous set,
// for an address that two pods may have had. It is Unknown alone for one that
// Await may learn more of; for one of a pod network that no pod is known to
// have had; for one that two Nodes or Services have; and for every address
// before Synced.
func (r *Resolver) Lookup(addr netip.Addr, at time.Time) Endpoint {
	e := r.lookup(addr, at.UnixNano())
	r.metrics.lookups[e.Kind].Inc()
	if e.Ambiguous {
		r.metrics.ambiguous.Inc()
	}
	return e
}

// IsLocalPod says whether a pod of this node has addr now. It costs less than
// Lookup and asks nobody.
func (r *Resolver) IsLocalPod(addr netip.Addr) bool { return r.owners.local(addr) }

func (r *Resolver) lookup(addr netip.Addr, at int64) Endpoint {
	if !addr.IsValid() || addr.IsUnspecified() || !r.Synced() {
		return Endpoint{IP: addr}
	}
	p, verdict := r.owners.find(addr, at)
	if verdict == nobody {
		return r.notOwned(addr, at)
	}
	return r.judged(addr, p, verdict)
}

// judged is the endpoint of an address that pods have had.
func (r *Resolver) judged(addr netip.Addr, p *pod, verdict verdict) Endpoint {
	if verdict == owned {
		return r.podEndpoint(addr, p)
	}
	return Endpoint{IP: addr, Ambiguous: verdict == contested}
}

// notOwned is the endpoint of an address that no watched pod has had.
func (r *Resolver) notOwned(addr netip.Addr, at int64) Endpoint {
	if name, n := r.nodes.find(addr); n > 0 {
		return named(addr, Node, "", name, n)
	}
	if key, n := r.services.find(addr); n > 0 {
		namespace, name, _ := strings.Cut(key, "/")
		return named(addr, Service, namespace, name, n)
	}
	if p, verdict := r.owners.announcing(addr, at); verdict != nobody {
		return r.judged(addr, p, verdict)
	}
	if r.asks(addr) {
		if e, ok := r.peerEndpoint(addr, at); ok {
			return e
		}
	}
	if r.nodes.gives(addr) {
		return Endpoint{IP: addr}
	}
	name := r.externalName(addr) // asked for in any case: it is wanted soon
	if r.mayYetBePod(addr, at) {
		return Endpoint{IP: addr}
	}
	return Endpoint{IP: addr, Kind: External, Name: name}
}

// named is a Node or Service, if it is but one of n.
func named(addr netip.Addr, kind Kind, namespace, name string, n int) Endpoint {
	if n > 1 {
		return Endpoint{IP: addr}
	}
	return Endpoint{IP: addr, Kind: kind, Namespace: namespace, Name: name}
}

// peerEndpoint is the endpoint of an address that the API server is asked
// about; ok is false if it knows of none.
func (r *Resolver) peerEndpoint(addr netip.Addr, at int64) (e Endpoint, ok bool) {
	known, verdict, _ := r.peer(addr, at, r.now())
	if verdict != nobody {
		return r.judged(addr, known.pod, verdict), true
	}
	return Endpoint{IP: addr, Kind: Node, Name: known.node}, known.node != ""
}

// asks says whether the API server is asked about addr. It is not about one of
// this node's own pod network: that one's owner comes by the watch.
func (r *Resolver) asks(addr netip.Addr) bool {
	return r.peers != nil && r.maybePod(addr) && !r.nodes.gives(addr)
}

// peer returns what the API server said about addr, and what that is worth for
// a packet seen at the time at. An answer that is too old it has asked for
// again: until retry the verdict is unsettled.
func (r *Resolver) peer(addr netip.Addr, at, now int64) (p peer, v verdict, retry int64) {
	known := r.peers.get(addr)
	if known.known {
		v = known.value.judge(at, known.until, now, r.owners.skew)
		if v != unsettled || now < known.until {
			return known.value, v, known.until
		}
	}
	if !r.peers.want(addr) {
		return peer{}, nobody, 0
	}
	return peer{}, unsettled, at + int64(r.cfg.Wait)
}

// externalName is the reverse DNS name of addr as far as it is known. An old
// name does until there is a new one.
func (r *Resolver) externalName(addr netip.Addr) string {
	if r.names == nil || !hasName(addr) {
		return ""
	}
	known := r.names.get(addr)
	if !known.known || r.now() >= known.until {
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
