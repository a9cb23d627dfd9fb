package emit

import (
	"net/netip"

	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// filter says whose pods get events.
type filter struct {
	include, exclude map[string]struct{}
}

func newFilter(cfg *Config) filter {
	return filter{include: set(cfg.Namespaces), exclude: set(cfg.ExcludeNamespaces)}
}

func set(values []string) map[string]struct{} {
	s := make(map[string]struct{}, len(values))
	for _, v := range values {
		s[v] = struct{}{}
	}
	return s
}

func (f *filter) admits(namespace string) bool {
	if _, out := f.exclude[namespace]; out {
		return false
	}
	if len(f.include) == 0 {
		return true
	}
	_, in := f.include[namespace]
	return in
}

// reason returns why an end gets no event; "" when it gets one.
func (f *filter) reason(ep *resolve.Endpoint) string {
	switch {
	case ep.Kind == resolve.Pod && ep.UID == "":
		return reasonUnidentified
	case ep.Kind == resolve.Pod && ep.EventsDisabled:
		return reasonOptedOut
	case ep.Kind == resolve.Pod && !f.admits(ep.Namespace):
		return reasonExcluded
	case ep.Kind == resolve.Pod:
		return ""
	case ep.Ambiguous:
		return reasonAmbiguous
	case !ep.IP.IsValid():
		return reasonOverflow
	}
	return reasonNotPod
}

func podSubject(ep *resolve.Endpoint) subjectKey {
	return subjectKey{kind: "Pod", namespace: ep.Namespace, name: ep.Name, uid: ep.UID}
}

// nodeEnd is how a flow without a pod concerns this node.
type nodeEnd struct {
	direction direction
	peer      *resolve.Endpoint
	via       netip.Addr // forwarding: the destination
}

// nodeEndOf returns how a flow without a pod on either side concerns the node:
// as its destination, its source, or on its way between two others.
func nodeEndOf(f *flow.Flow, src, dst *resolve.Endpoint, node string) nodeEnd {
	switch {
	case dst.Kind == resolve.Node && dst.Name == node:
		return nodeEnd{direction: receiving, peer: src}
	case src.Kind == resolve.Node && src.Name == node:
		return nodeEnd{direction: sending, peer: dst}
	}
	return nodeEnd{direction: forwarding, peer: src, via: f.Destination}
}

// nodeSubject is this node. kubectl describe node selects events by the node's
// name in place of its UID.
func nodeSubject(node string) subjectKey {
	return subjectKey{kind: "Node", name: node, uid: node}
}
