package policy

import (
	"net/netip"
	"slices"
)

// match is the result of matching a rule's peers or ports with a flow. A greater value is
// nearer to allowing it.
type match uint8

const (
	differs match = iota
	unclear       // it depends on something unknown
	matches
)

// query is one direction of a flow: the pod that policies select, and the peer that their
// rules must allow.
type query struct {
	direction Direction
	pod, peer *End
	// podLabels and peerLabels are theirs.
	podLabels, peerLabels labelSet
	// namespace has the labels of the peer's namespace.
	namespace namespaceLabels
	// neighbour reports that the peer is a pod of the policies' namespace.
	neighbour bool
	peerAddr  netip.Addr
	// server is the end that has the port.
	server   *End
	protocol protocol
	port     uint16
	// portNames are the server's names of the port.
	portNames []string
}

// exempt reports whether no policy can deny the flow: "Traffic to and from the node where a
// Pod is running is always allowed", and a pod can always reach itself.
func (q *query) exempt() bool {
	switch q.peer.Kind {
	case Pod:
		return q.peer.Namespace == q.pod.Namespace && q.peer.Name == q.pod.Name
	case Node:
		return q.peer.NodeName != "" && q.peer.NodeName == q.pod.NodeName
	}
	return false
}

func (r *rule) matchPeers(q *query) match {
	best := differs
	if r.peersCut {
		best = unclear
	} else if len(r.peers) == 0 {
		return matches
	}
	for i := range r.peers {
		best = max(best, r.peers[i].match(q))
	}
	return best
}

func (p *rulePeer) match(q *query) match {
	switch {
	case q.peer.Kind == Service:
		return unclear
	case p.block != nil:
		return matchIf(p.block.contains(q.peerAddr))
	case q.peer.Kind == Pod:
		return p.selects(q)
	case q.peer.Kind == Unknown:
		return unclear
	}
	return differs
}

func matchIf(yes bool) match {
	if yes {
		return matches
	}
	return differs
}

// selects matches a peer that selects pods.
func (p *rulePeer) selects(q *query) match {
	namespaces, pods := matchIf(q.neighbour), matches
	if p.namespaces != nil {
		namespaces = p.namespaces.matchNamespace(q.namespace)
	}
	if p.pods != nil && namespaces != differs {
		pods = p.pods.match(q.peerLabels)
	}
	return min(namespaces, pods)
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

func (r *rule) matchPorts(q *query) match {
	best := differs
	if r.portsCut {
		best = unclear
	} else if len(r.ports) == 0 {
		return matches
	}
	for i := range r.ports {
		best = max(best, r.ports[i].match(q))
	}
	return best
}

func (p *rulePort) match(q *query) match {
	switch {
	case p.protocol != q.protocol || p.protocol == otherProtocol:
		return differs
	case p.name == "" && p.from == 0 && p.to == 0:
		return matches
	case q.server.Kind == Service:
		return unclear // the Service's pods may have another port
	case p.name != "":
		return p.matchName(q)
	}
	return matchIf(p.from <= q.port && q.port <= p.to)
}

// matchName looks up a named port in the pod that serves it.
func (p *rulePort) matchName(q *query) match {
	if q.server.Kind == Unknown {
		return unclear
	}
	return matchIf(slices.Contains(q.portNames, p.name))
}
