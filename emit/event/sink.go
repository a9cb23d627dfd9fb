package event

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Sink counts flows and writes them as events.
type Sink struct {
	cfg    Config
	api    caller // nil: no events
	filter filter
	log    failureLog

	changed  chan struct{} // holds one token when there may be something to do
	counters *counters
	watchdog watchdog // the dispatcher's, then the writers'
	refused  refusals

	mu         sync.Mutex // guards what follows
	correlator *correlator
}

// New returns an emitter that writes through a client for core/v1, which must
// neither limit nor retry calls itself; with nil it counts and writes no
// events. It reports all that is wrong with cfg at once.
func New(cfg Config, client rest.Interface) (*Sink, error) {
	cfg = cfg.withDefaults()
	if client == nil {
		return newSink(cfg, nil)
	}
	return newSink(cfg, &api{client: client, timeout: cfg.CallTimeout})
}

func newSink(cfg Config, c caller) (*Sink, error) {
	message, err := cfg.validate()
	if c != nil && cfg.NodeName == "" {
		err = errors.Join(errors.New("NodeName must be given"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("event: config: %w", err)
	}
	e := &Sink{
		cfg:      cfg,
		api:      c,
		filter:   newFilter(&cfg),
		log:      failureLog{logger: cfg.Logger, logged: map[string]time.Time{}},
		changed:  make(chan struct{}, 1),
		counters: newCounters(),
		watchdog: make(watchdog, 1+cfg.Writers),
		refused:  refusals{only: len(cfg.Namespaces) == 1},
	}
	e.correlator = newCorrelator(&e.cfg, message, rand.Text(), e.counters)
	if err := e.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("event: register metrics: %w", err)
	}
	return e, nil
}

func (e *Sink) register(r prometheus.Registerer) error {
	if r == nil || e.api == nil {
		return nil
	}
	var errs []error
	for _, c := range append(e.counters.collectors(), e.gauges()...) {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

// gauges are read from the correlator when they are collected.
func (e *Sink) gauges() []prometheus.Collector {
	gauge := func(name, help string, read func(l *correlator) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kube_nflog_" + name, Help: help}, func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			return read(e.correlator)
		})
	}
	return []prometheus.Collector{
		gauge("event_packets_pending", "Accepted packets whose event is not written yet.",
			func(l *correlator) float64 { return float64(l.counters.pending) }),
		gauge("event_queue", "Event objects that wait for a writer.",
			func(l *correlator) float64 { return float64(l.queued()) }),
		gauge("event_records", "Event objects in memory.",
			func(l *correlator) float64 { return float64(l.entries) }),
		gauge("event_budget_calls_per_second", "Calls per second to the API server that this agent allows itself now.",
			func(l *correlator) float64 { return l.limiter.rate }),
	}
}

// Add counts a flow. It never waits for the API server and may be called from
// several goroutines. When it returns, the flow is in the metrics, and in the
// correlator for Flush.
func (e *Sink) Add(d *emit.DroppedFlow) {
	if e.api == nil {
		return
	}
	ends := e.endsOf(d)
	if ends.none() {
		e.counters.suppress(ends.source, d.Packets)
		e.counters.suppress(ends.destination, d.Packets)
		return
	}
	now := e.cfg.Now()
	e.mu.Lock()
	e.addEnds(d, ends, now)
	dueEarlier := e.correlator.dueEarlier
	e.mu.Unlock()
	if dueEarlier {
		e.wakeUp()
	}
}

// ends tells for both ends of a flow why they get no event, "" for one that
// gets one.
type ends struct {
	source, destination string
	node                bool // the flow is the node's
}

// none reports whether nobody gets an event.
func (n *ends) none() bool { return n.source != "" && n.destination != "" && !n.node }

func (e *Sink) endsOf(d *emit.DroppedFlow) ends {
	return ends{
		source: e.filter.reason(&d.Source), destination: e.filter.reason(&d.Destination),
		node: e.cfg.NodeEvents && nodeFlow(&d.Source, &d.Destination),
	}
}

// nodeFlow reports whether a flow has no pod on either side, for sure.
func nodeFlow(source, destination *resolve.Endpoint) bool {
	return source.Kind != resolve.Pod && destination.Kind != resolve.Pod && !source.Ambiguous && !destination.Ambiguous
}

func (e *Sink) addEnds(d *emit.DroppedFlow, ends ends, now time.Time) {
	if ends.node {
		e.addNode(d, now)
		return
	}
	e.addPod(sending, d, &d.Source, &d.Destination, &d.Reason.Source, ends.source, now)
	e.addPod(receiving, d, &d.Destination, &d.Source, &d.Reason.Destination, ends.destination, now)
}

// addPod counts a flow for the end that is self, a pod unless there is a reason
// why it gets no event.
func (e *Sink) addPod(way direction, d *emit.DroppedFlow, self, peer *resolve.Endpoint, v *policy.View, reason string, now time.Time) {
	if reason == "" {
		o := e.observe(d, podObject(self), way, peer, v, now)
		reason = e.correlator.add(o, now)
	}
	e.enter(reason, d.Packets)
}

// addNode counts a flow without a pod on either side for this node: as its
// destination, its source, or on its way between two others. Only one of the
// ends gets an event.
func (e *Sink) addNode(d *emit.DroppedFlow, now time.Time) {
	way, peer := forwarding, &d.Source
	switch {
	case d.Destination.Kind == resolve.Node && d.Destination.Name == e.cfg.NodeName:
		way = receiving
	case d.Source.Kind == resolve.Node && d.Source.Name == e.cfg.NodeName:
		way, peer = sending, &d.Destination
	}
	o := e.observe(d, nodeObject(e.cfg.NodeName), way, peer, &d.Reason.Node, now)
	if way == forwarding {
		o.peerKey.via = d.Flow.Destination
	}
	e.enter(e.correlator.add(o, now), d.Packets)
	e.counters.suppress(reasonNotPod, d.Packets)
}

// observation is a flow as it concerns one object.
type observation struct {
	*emit.DroppedFlow

	involvedObject objectKey
	direction      direction
	peer           *resolve.Endpoint // as the readers of the object's events may know it
	peerKey        peerKey
	why            policy.View // the same
	first, last    time.Time   // never zero, and in this order
}

func (e *Sink) observe(d *emit.DroppedFlow, involvedObject objectKey, way direction, peer *resolve.Endpoint, v *policy.View, now time.Time) *observation {
	o := &observation{DroppedFlow: d, involvedObject: involvedObject, direction: way, peer: peer, why: policy.View{Text: d.Reason.Text}}
	if e.cfg.NamespaceOnly {
		o.peer, o.why = hide(involvedObject.eventNamespace(), peer), *v
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

// enter counts what became of one end.
func (e *Sink) enter(reason string, packets uint64) {
	if reason == "" {
		e.counters.accept(packets)
		return
	}
	e.counters.suppress(reason, packets)
}

// wakeUp tells Run that there may be something to write.
func (e *Sink) wakeUp() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}
