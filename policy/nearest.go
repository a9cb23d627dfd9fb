package policy

import (
	"strconv"
	"strings"
)

// maxText bounds the text of a Miss's ports or peers, in bytes. A policy may have a
// thousand of each.
const maxText = 160

// nearest remembers the rule that is nearest to allowing a flow. It prefers a rule that
// allows the peer to one that allows the port, and an earlier rule to a later one.
type nearest struct {
	byPeer, byPort             *rule
	byPeerPolicy, byPortPolicy *Compiled
	unclear                    bool // a rule may allow the flow, but not enough is known
}

// allows reports whether a policy allows the flow. If not, it remembers its nearest rule.
func (n *nearest) allows(q *query, r *Compiled) bool {
	for i := range r.rules[q.direction] {
		rule := &r.rules[q.direction][i]
		ports := rule.matchPorts(q)
		if ports == differs && n.byPeer != nil {
			continue // its peers cannot change the result
		}
		peers := rule.matchPeers(q)
		switch {
		case peers == matches && ports == matches:
			return true
		case min(peers, ports) == unclear:
			n.unclear = true
		case peers == matches && n.byPeer == nil:
			n.byPeer, n.byPeerPolicy = rule, r
		case ports == matches && n.byPort == nil:
			n.byPort, n.byPortPolicy = rule, r
		}
	}
	return false
}

func (n *nearest) miss() *Miss {
	switch {
	case n.byPeer != nil:
		return &Miss{Policy: n.byPeerPolicy.name, Peer: true, Ports: list(n.byPeer.ports, rulePort.String)}
	case n.byPort != nil:
		return &Miss{Policy: n.byPortPolicy.name, Peers: list(n.byPort.peers, rulePeer.String)}
	}
	return nil
}

// list joins as many texts as fit.
func list[T any](items []T, text func(T) string) string {
	var b strings.Builder
	for i, item := range items {
		s := text(item)
		if i > 0 && b.Len()+len(s) > maxText {
			b.WriteString(", and " + strconv.Itoa(len(items)-i) + " more")
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s)
	}
	return b.String()
}

// String returns "9090/TCP", "1000-2000/UDP", "http/TCP" or "any/SCTP".
func (p rulePort) String() string {
	switch {
	case p.name != "":
		return p.name + "/" + p.protocol.String()
	case p.from == 0 && p.to == 0:
		return "any/" + p.protocol.String()
	case p.from != p.to:
		return strconv.Itoa(int(p.from)) + "-" + strconv.Itoa(int(p.to)) + "/" + p.protocol.String()
	}
	return strconv.Itoa(int(p.from)) + "/" + p.protocol.String()
}

// String returns "10.0.0.0/8 except 10.1.0.0/16", "pods app=frontend", "pods
// app=frontend in namespaces team=a" or "all pods".
func (p rulePeer) String() string {
	if p.block != nil {
		return p.block.String()
	}
	text := "all pods"
	if p.pods != nil && !p.pods.Empty() {
		text = "pods " + cut(p.pods.String())
	}
	switch {
	case p.namespaces == nil:
		return text
	case p.namespaces.Empty():
		return text + " in all namespaces"
	}
	return text + " in namespaces " + cut(p.namespaces.String())
}

func (b *block) String() string {
	text := b.of.String()
	for i, except := range b.except {
		switch i {
		case 0:
			text += " except " + except.String()
		case maxExcept:
			return text + " …"
		default:
			text += ", " + except.String()
		}
	}
	return text
}

const maxExcept = 3

// cut shortens a selector's text, which is ASCII.
func cut(s string) string {
	if len(s) <= maxText/2 {
		return s
	}
	return s[:maxText/2] + "…"
}
