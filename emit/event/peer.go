package event

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/kube-nflog/kube-nflog/resolve"
)

const (
	maxMembers  = 16 // pods and addresses that are counted
	maxShownIPs = 4
)

// peer is the other end of an entry's flows: the endpoint as last seen, and the pods
// and addresses that are folded into it.
type peer struct {
	last    resolve.Endpoint
	members []member
	more    bool // there were more than maxMembers
}

type member struct {
	pod  string
	addr netip.Addr
}

// see notes an endpoint.
func (p *peer) see(ep *resolve.Endpoint) {
	p.last = *ep
	m := member{pod: ep.Name, addr: ep.IP}
	switch {
	case slices.Contains(p.members, m):
	case len(p.members) >= maxMembers:
		p.more = true
	default:
		p.members = append(p.members, m)
	}
}

// text returns the peer as in messages.
func (p *peer) text() string {
	if p.last.Kind == resolve.Pod && p.last.Name != "" {
		if pods := p.pods(); pods > 1 || p.more {
			return fmt.Sprintf("%s in %s (%s%d pods, last %s)",
				p.last.Workload, p.last.Namespace, moreThan(p.more), pods, endpointText(&p.last, p.last.IP.String()))
		}
	}
	return endpointText(&p.last, p.addresses())
}

func moreThan(more bool) string {
	if more {
		return "more than "
	}
	return ""
}

// pods counts the distinct pods among the members.
func (p *peer) pods() int {
	names := make(map[string]struct{}, len(p.members))
	for _, m := range p.members {
		names[m.pod] = struct{}{}
	}
	return len(names)
}

// addresses lists the peer's addresses, the first few of them.
func (p *peer) addresses() string {
	var shown []string
	for _, m := range p.members {
		if len(shown) == maxShownIPs {
			shown = append(shown, "…")
			break
		}
		shown = append(shown, m.addr.String())
	}
	return strings.Join(shown, ", ")
}

// endpointText names an endpoint with its address: a pod by its identifier, a node,
// a Service, or an external host by its DNS name. Without a name it is the address.
func endpointText(ep *resolve.Endpoint, addresses string) string {
	switch {
	case ep.Kind == resolve.Pod:
		return podText(ep) + " (" + addresses + ")"
	case ep.Kind == resolve.Node:
		return "node " + ep.Name + " (" + addresses + ")"
	case ep.Kind == resolve.Service && ep.Name == "":
		return "service in " + ep.Namespace + " (" + addresses + ")"
	case ep.Kind == resolve.Service:
		return "service " + ep.Namespace + "/" + ep.Name + " (" + addresses + ")"
	case ep.Kind == resolve.External && ep.Name != "":
		return ep.Name + " (" + addresses + ")"
	}
	return addresses
}

func podText(ep *resolve.Endpoint) string {
	if ep.Identifier != "" {
		return ep.Identifier
	}
	return ep.Namespace + "/" + ep.Name
}
