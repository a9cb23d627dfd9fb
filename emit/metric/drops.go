package metric

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

const (
	// other stands for label values beyond the bounds.
	other         = "other"
	maxNamespaces = 200  // values of each namespace label
	maxLabelled   = 50   // values of the prefix label
	maxSeries     = 2000 // in addition to those whose names are all "other"
	maxKnown      = 4000 // label sets, bounded or not, that are found with one look-up
)

// drops counts dropped packets by bounded labels. It is safe for concurrent use. A known
// label set costs one look-up and no allocation.
type drops struct {
	vec *prometheus.CounterVec

	mu           sync.Mutex // guards what follows
	last         dropKey    // most flows of a window have the labels of the previous one
	lastCounter  prometheus.Counter
	known        map[dropKey]prometheus.Counter
	series       map[dropKey]struct{}
	sources      map[string]struct{}
	destinations map[string]struct{}
	prefixes     map[string]struct{}
}

// dropKey is a label set.
type dropKey struct {
	direction                   side
	protocol                    decode.Protocol // 0 for other
	source, destination, prefix string
	code                        policy.ReasonCode
}

// side is which ends of a flow are pods, as this node sees it.
type side uint8

const (
	sideNone side = iota
	sideReceiving
	sideSending
	sideBoth
)

func (s side) String() string {
	return [...]string{"none", "receiving", "sending", "both"}[s]
}

// lowerBound is the end of the help of metrics that count drops.
const lowerBound = " A lower bound if the rule that logs has a limit."

func newDrops() *drops {
	return &drops{
		vec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kube_nflog_drops_total",
			Help: "Dropped packets, by direction as this node sees it (receiving, sending, both, none: which end is a pod here), " +
				"namespaces ((node), (external) or (unknown) for an end without one), protocol, NFLOG prefix and the code of the reason." +
				lowerBound,
		}, []string{"direction", "source_namespace", "destination_namespace", "protocol", "prefix", "reason_code"}),
		known:        map[dropKey]prometheus.Counter{},
		series:       map[dropKey]struct{}{},
		sources:      map[string]struct{}{},
		destinations: map[string]struct{}{},
		prefixes:     map[string]struct{}{},
	}
}

// add counts a flow's packets.
func (d *drops) add(f *emit.DroppedFlow, node string) {
	key := dropKey{
		direction:   localDirection(&f.Source, &f.Destination, node),
		source:      namespaceLabel(&f.Source),
		destination: namespaceLabel(&f.Destination),
		protocol:    protocolLabel(f.Protocol),
		prefix:      f.Prefix,
		code:        knownCode(f.Reason.Code),
	}
	d.mu.Lock()
	if key != d.last || d.lastCounter == nil {
		d.last, d.lastCounter = key, d.counter(key)
	}
	c := d.lastCounter
	d.mu.Unlock()
	c.Add(float64(f.Packets))
}

// counter returns the counter of a label set.
func (d *drops) counter(key dropKey) prometheus.Counter {
	if c, ok := d.known[key]; ok {
		return c
	}
	return d.newCounter(key)
}

// newCounter returns the counter of a label set that is not known yet.
func (d *drops) newCounter(key dropKey) prometheus.Counter {
	bounded := d.bound(key)
	c, ok := d.known[bounded]
	if !ok {
		c = d.vec.WithLabelValues(bounded.labels()...)
		// These are always remembered: only few sets are all "other".
		d.known[bounded] = c
	}
	if len(d.known) < maxKnown {
		d.known[keep(key)] = c
	}
	return c
}

// labels returns the label values in the order of the metric's labels.
func (k dropKey) labels() []string {
	protocol := other
	if k.protocol != 0 {
		protocol = k.protocol.String()
	}
	return []string{k.direction.String(), k.source, k.destination, protocol, k.prefix, string(k.code)}
}

// keep returns a key whose prefix does not refer to a packet's buffer.
func keep(key dropKey) dropKey {
	key.prefix = strings.Clone(key.prefix)
	return key
}

// bound replaces values beyond the bounds by "other".
func (d *drops) bound(key dropKey) dropKey {
	key = keep(key)
	key.prefix = emit.Clean(key.prefix)
	key.source = admit(d.sources, key.source, maxNamespaces)
	key.destination = admit(d.destinations, key.destination, maxNamespaces)
	key.prefix = admit(d.prefixes, key.prefix, maxLabelled)
	if _, ok := d.series[key]; ok {
		return key
	}
	if len(d.series) >= maxSeries {
		key.source, key.destination, key.prefix = other, other, other
		return key
	}
	d.series[key] = struct{}{}
	return key
}

// admit returns value if it is among the first limit values, else other.
func admit(seen map[string]struct{}, value string, limit int) string {
	if _, ok := seen[value]; ok {
		return value
	}
	if len(seen) >= limit {
		return other
	}
	seen[value] = struct{}{}
	return value
}

// localDirection returns which ends of a flow are pods on this node. If neither is, it
// returns which ends are pods at all.
func localDirection(src, dst *resolve.Endpoint, node string) side {
	from, to := src.Kind == resolve.Pod, dst.Kind == resolve.Pod
	if from && to && src.NodeName != dst.NodeName {
		from, to = from && src.NodeName == node, to && dst.NodeName == node
		if !from && !to {
			from, to = true, true
		}
	}
	switch {
	case from && to:
		return sideBoth
	case to:
		return sideReceiving
	case from:
		return sideSending
	}
	return sideNone
}

// namespaceLabel returns an endpoint's namespace. If it has none, it returns its kind in
// parentheses, which cannot be the name of a namespace.
func namespaceLabel(ep *resolve.Endpoint) string {
	switch ep.Kind {
	case resolve.Pod, resolve.Service:
		return ep.Namespace
	case resolve.Node:
		return "(node)"
	case resolve.External:
		return "(external)"
	}
	return "(unknown)"
}

// protocolLabel returns the protocol if the decoder knows it, else 0.
func protocolLabel(p decode.Protocol) decode.Protocol {
	switch p {
	case decode.TCP, decode.UDP, decode.SCTP, decode.ICMP, decode.ICMPv6:
		return p
	}
	return 0
}
