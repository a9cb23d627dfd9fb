package event

import (
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

func podObject(ep *resolve.Endpoint) objectKey {
	return objectKey{kind: "Pod", namespace: ep.Namespace, name: ep.Name, uid: ep.UID}
}

// nodeObject is this node. kubectl describe node selects events by the node's
// name in place of its UID.
func nodeObject(node string) objectKey {
	return objectKey{kind: "Node", name: node, uid: node}
}
