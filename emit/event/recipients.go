package event

import (
	"strings"
	"time"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// ends tells why each end of a flow gets no event, "" for an end that gets one.
type ends struct {
	source, destination string
	node                bool // the node gets an event
}

// none reports whether nobody gets an event.
func (n *ends) none() bool { return n.source != "" && n.destination != "" && !n.node }

func (s *Sink) endsOf(d *emit.DroppedFlow) ends {
	return ends{
		source: s.filter.reason(&d.Source), destination: s.filter.reason(&d.Destination),
		node: s.cfg.NodeEvents && nodeFlow(&d.Source, &d.Destination),
	}
}

// nodeFlow reports whether a flow has no pod on either side, for sure.
func nodeFlow(source, destination *resolve.Endpoint) bool {
	return source.Kind != resolve.Pod && destination.Kind != resolve.Pod && !source.Ambiguous && !destination.Ambiguous
}

func (s *Sink) addEnds(d *emit.DroppedFlow, ends ends, now time.Time) {
	if ends.node {
		s.addNode(d, now)
		return
	}
	s.addPod(sending, d, &d.Source, &d.Destination, &d.Reason.Source, ends.source, now)
	s.addPod(receiving, d, &d.Destination, &d.Source, &d.Reason.Destination, ends.destination, now)
}

// addPod adds a flow to the event of one end, self. That is a pod, unless there is
// a reason why it gets no event.
func (s *Sink) addPod(way direction, d *emit.DroppedFlow, self, peer *resolve.Endpoint, v *policy.View, reason string, now time.Time) {
	if reason == "" {
		o := s.observe(d, podObject(self), way, peer, v, now)
		reason = s.correlator.add(&o, now)
	}
	s.count(reason, d.Packets)
}

// addNode adds a flow without a pod on either side to an event of this node. The
// node is the destination, the source, or on the way between two others. Only one
// of the ends gets an event.
func (s *Sink) addNode(d *emit.DroppedFlow, now time.Time) {
	way, peer := forwarding, &d.Source
	switch {
	case d.Destination.Kind == resolve.Node && d.Destination.Name == s.cfg.NodeName:
		way = receiving
	case d.Source.Kind == resolve.Node && d.Source.Name == s.cfg.NodeName:
		way, peer = sending, &d.Destination
	}
	o := s.observe(d, nodeObject(s.cfg.NodeName), way, peer, &d.Reason.Node, now)
	if way == forwarding {
		o.peerKey.via = d.Flow.Destination
	}
	s.count(s.correlator.add(&o, now), d.Packets)
	s.counters.suppress(reasonNotPod, d.Packets)
}

// observation is a flow as the event of one object shows it.
type observation struct {
	*emit.DroppedFlow

	object      objectKey
	direction   direction
	peer        *resolve.Endpoint // as the readers of the object's events may know it
	peerKey     peerKey
	why         policy.View // the same
	first, last time.Time   // never zero, and in this order
}

func (s *Sink) observe(d *emit.DroppedFlow, object objectKey, way direction, peer *resolve.Endpoint, v *policy.View, now time.Time) observation {
	o := observation{DroppedFlow: d, object: object, direction: way, peer: peer, why: policy.View{Text: d.Reason.Text}}
	if s.cfg.NamespaceOnly {
		o.peer, o.why = hide(object.eventNamespace(), peer), *v
	}
	o.peerKey = peerKeyOf(o.peer)
	o.first, o.last = d.FirstSeen, d.LastSeen
	// Times may be missing, or out of order when the clock was set between two
	// packets.
	if o.last.IsZero() {
		o.last = now
	}
	if o.first.IsZero() || o.first.After(o.last) {
		o.first = o.last
	}
	return o
}

// filter chooses the namespaces whose pods get events.
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

// reason returns why an end gets no event, "" if it gets one.
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

// nodeObject returns this node. kubectl describe node selects events by the node's
// name in place of its UID.
func nodeObject(node string) objectKey {
	return objectKey{kind: "Node", name: node, uid: node}
}

// hide returns a peer as an event in a namespace may show it where namespaces are
// hidden from each other: pods and Services of other namespaces only by namespace
// and address. The event is made only of what hide returns, its name too: that is
// a hash, and whoever guesses a hidden name could check it against the hash.
func hide(namespace string, peer *resolve.Endpoint) *resolve.Endpoint {
	switch peer.Kind {
	case resolve.Pod, resolve.Service:
		if peer.Namespace == namespace {
			return peer
		}
		return &resolve.Endpoint{IP: peer.IP, Kind: peer.Kind, Namespace: peer.Namespace, Identifier: peer.Namespace}
	}
	if owner := namespaceOfName(peer.Name); peer.Kind == resolve.External && owner != "" && owner != namespace {
		nameless := *peer
		nameless.Name = ""
		return &nameless
	}
	return peer
}

// namespaceOfName returns the namespace in a name of the cluster's own DNS, "" for
// another name: api.shop.svc.cluster.local,
// 10-0-1-7.api.shop.svc.cluster.local, 10-0-1-7.shop.pod.cluster.local.
func namespaceOfName(name string) string {
	labels := strings.Split(name, ".")
	for i := len(labels) - 2; i > 0; i-- {
		if labels[i] == "svc" || labels[i] == "pod" {
			return labels[i-1]
		}
	}
	return ""
}
