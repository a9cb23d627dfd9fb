package policy

import (
	"net/netip"

	"k8s.io/apimachinery/pkg/labels"
)

// match is what a rule's peers or ports say of a flow. Greater is nearer to
// allowing it.
type match uint8

const (
	differs match = iota
	unclear       // it depends on what is not known
	matches
)

// asked is one direction of a flow: whom the policies select, and whom their
// rules have to allow.
type asked struct {
	direction Direction
	pod, peer *End
	// peerNamespace are the labels of the peer's namespace.
	peerNamespace labels.Labels
	// server has the port.
	server   *End
	protocol string
	port     uint16
}

// exempt says that the flow is allowed whatever the policies say.
func (q *asked) exempt() bool {
	switch q.peer.Kind {
	case Pod:
		return q.peer.Namespace == q.pod.Namespace && q.peer.Name == q.pod.Name
	case Node:
		return q.direction == Ingress && q.peer.NodeName != "" && q.peer.NodeName == q.pod.NodeName
	}
	return false
}

func (r *rule) matchPeers(q *asked, policyNamespace string) match {
	if len(r.peers) == 0 {
		return matches
	}
	best := differs
	for i := range r.peers {
		best = max(best, r.peers[i].match(q, policyNamespace))
	}
	return best
}

func (p *peer) match(q *asked, policyNamespace string) match {
	switch {
	case q.peer.Kind == Service:
		return unclear
	case p.block != nil:
		return said(p.block.contains(q.peer.Addr.Unmap()))
	case q.peer.Kind == Pod:
		return said(p.selects(q, policyNamespace))
	case q.peer.Kind == Unknown:
		return unclear
	}
	return differs
}

func said(yes bool) match {
	if yes {
		return matches
	}
	return differs
}

func (p *peer) selects(q *asked, policyNamespace string) bool {
	if p.namespaces == nil && q.peer.Namespace != policyNamespace {
		return false
	}
	if p.namespaces != nil && !p.namespaces.Matches(q.peerNamespace) {
		return false
	}
	return p.pods == nil || p.pods.Matches(q.peer.Labels)
}

func (b *block) contains(addr netip.Addr) bool {
	if !b.of.Contains(addr) {
		return false
	}
	for _, except := range b.except {
		if except.Contains(addr) {
			return false
		}
	}
	return true
}

func (r *rule) matchPorts(q *asked) match {
	if len(r.ports) == 0 {
		return matches
	}
	best := differs
	for i := range r.ports {
		best = max(best, r.ports[i].match(q))
	}
	return best
}

func (p *port) match(q *asked) match {
	switch {
	case p.protocol != q.protocol:
		return differs
	case p.name == "" && p.from == 0 && p.to == 0:
		return matches
	case q.server.Kind == Service:
		return unclear // its pods may have another port
	case p.name != "":
		return p.matchName(q)
	}
	return said(p.from <= q.port && q.port <= p.to)
}

// matchName looks a named port up in the pod that serves it.
func (p *port) matchName(q *asked) match {
	switch {
	case q.server.Kind == Unknown:
		return unclear
	case q.server.Kind != Pod || q.server.Ports == nil:
		return differs
	}
	return said(q.server.Ports.HasPort(p.name, p.protocol, q.port))
}
