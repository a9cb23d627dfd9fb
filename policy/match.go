package policy

import (
	"net/netip"
	"slices"
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
	// The labels of these, and of the peer's namespace.
	podLabels, peerLabels, namespaceLabels *labelling
	// neighbour says that the peer is a pod of the policies' namespace.
	neighbour bool
	peerAddr  netip.Addr
	// server has the port.
	server   *End
	protocol protocol
	port     uint16
	// portNames are what the server calls the port.
	portNames []string
	has       digest
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

func (r *rule) matchPeers(q *asked) match {
	if len(r.peers) == 0 {
		return matches
	}
	best := differs
	for i := range r.peers {
		best = max(best, r.peers[i].match(q))
	}
	return best
}

func (p *peer) match(q *asked) match {
	switch {
	case q.peer.Kind == Service:
		return unclear
	case p.block != nil:
		return said(p.block.contains(q.peerAddr))
	case q.peer.Kind == Pod:
		return said(p.selects(q))
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

func (p *peer) selects(q *asked) bool {
	if p.namespaces == nil && !q.neighbour {
		return false
	}
	if p.namespaces != nil && !p.namespaces.matches(q.namespaceLabels) {
		return false
	}
	return p.pods == nil || p.pods.matches(q.peerLabels)
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
	case p.protocol != q.protocol || p.protocol == otherProtocol:
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
	if q.server.Kind == Unknown {
		return unclear
	}
	return said(slices.Contains(q.portNames, p.name))
}
