package resolve

import (
	"net/netip"
	"strings"
	"time"
)

// Lookup returns the endpoint that had addr when a packet was seen at the time
// at. It neither blocks nor does I/O. Kind is Unknown for an address that two
// pods may have had, for one of the pods' own networks that no pod is known to
// have had, and for every address before Synced.
func (r *Resolver) Lookup(addr netip.Addr, at time.Time) Endpoint {
	e := r.lookup(addr, at.UnixNano())
	r.metrics.lookups[e.Kind].Inc()
	if e.Ambiguous {
		r.metrics.ambiguous.Inc()
	}
	return e
}

func (r *Resolver) lookup(addr netip.Addr, at int64) Endpoint {
	e := Endpoint{IP: addr}
	if !addr.IsValid() || addr.IsUnspecified() || !r.Synced() {
		return e
	}
	p, verdict := r.owners.find(addr, at, r.now())
	switch verdict {
	case owned:
		return r.podEndpoint(addr, p)
	case contested:
		e.Ambiguous = true
		return e
	case unsettled:
		return e
	}
	if name, ok := r.nodes.find(addr); ok {
		e.Kind, e.Name = Node, name
		return e
	}
	if key, ok := r.services.find(addr); ok {
		e.Kind = Service
		e.Namespace, e.Name, _ = strings.Cut(key, "/")
		return e
	}
	if r.nodes.gives(addr) {
		return e
	}
	e.Kind = External
	return e
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
		EventsDisabled: p.eventsDisabled,
	}
}
