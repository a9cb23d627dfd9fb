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
	api    caller // nil if no events are written
	filter filter
	log    failureLog

	changed  chan struct{} // has a token if there may be something to do
	counters *counters
	watchdog watchdog // of the dispatcher, then of the writers
	refused  refusals

	mu         sync.Mutex // guards what follows
	correlator *correlator
}

// New returns a Sink that writes through a client for core/v1. The client must not limit or
// retry calls. With a nil client the Sink counts, and writes no events. New returns all
// mistakes in cfg at once.
func New(cfg Config, client rest.Interface) (*Sink, error) {
	cfg = cfg.withDefaults()
	if client == nil {
		return newSink(cfg, nil)
	}
	return newSink(cfg, &api{client: client, timeout: cfg.CallTimeout})
}

func newSink(cfg Config, api caller) (*Sink, error) {
	message, err := cfg.validate()
	if api != nil && cfg.NodeName == "" {
		err = errors.Join(errors.New("NodeName must be given"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("event: config: %w", err)
	}
	s := &Sink{
		cfg:      cfg,
		api:      api,
		filter:   newFilter(&cfg),
		log:      failureLog{logger: cfg.Logger, logged: map[string]time.Time{}},
		changed:  make(chan struct{}, 1),
		counters: newCounters(),
		watchdog: make(watchdog, 1+cfg.Writers),
		refused:  refusals{only: len(cfg.Namespaces) == 1},
	}
	s.correlator = newCorrelator(&s.cfg, message, rand.Text(), s.counters)
	if err := s.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("event: register metrics: %w", err)
	}
	return s, nil
}

func (s *Sink) register(r prometheus.Registerer) error {
	if r == nil || s.api == nil {
		return nil
	}
	var errs []error
	for _, c := range append(s.counters.collectors(), s.gauges()...) {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

// gauges are read from the correlator when they are collected.
func (s *Sink) gauges() []prometheus.Collector {
	gauge := func(name, help string, read func(c *correlator) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kube_nflog_" + name, Help: help}, func() float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return read(s.correlator)
		})
	}
	return []prometheus.Collector{
		gauge("event_packets_pending", "Accepted packets whose event is not written yet.",
			func(c *correlator) float64 { return float64(c.counters.pending) }),
		gauge("event_queue", "Event objects that wait for a writer.",
			func(c *correlator) float64 { return float64(c.queue.readyEntries()) }),
		gauge("event_records", "Event objects in memory.",
			func(c *correlator) float64 { return float64(c.objects.entries) }),
		gauge("event_budget_calls_per_second", "Calls per second to the API server that this agent allows itself now.",
			func(c *correlator) float64 { return c.limiter.rate }),
	}
}

// Add counts a flow. It never waits for the API server and may be called from
// several goroutines. When it returns, the flow is in the metrics, and in the
// correlator for Flush.
func (s *Sink) Add(d *emit.DroppedFlow) {
	if s.api == nil {
		return
	}
	ends := s.endsOf(d)
	if ends.none() {
		s.counters.suppress(ends.source, d.Packets)
		s.counters.suppress(ends.destination, d.Packets)
		return
	}
	now := s.cfg.Now()
	s.mu.Lock()
	s.addEnds(d, ends, now)
	earlier := s.correlator.queue.earlier
	s.mu.Unlock()
	if earlier {
		s.wakeUp()
	}
}

// ends says for both ends of a flow why they get no event; "" if they get one.
type ends struct {
	source, destination string
	node                bool // the flow is written on the node
}

// none reports whether no end gets an event.
func (n *ends) none() bool { return n.source != "" && n.destination != "" && !n.node }

func (s *Sink) endsOf(d *emit.DroppedFlow) ends {
	return ends{
		source: s.filter.reason(&d.Source), destination: s.filter.reason(&d.Destination),
		node: s.cfg.NodeEvents && nodeFlow(&d.Source, &d.Destination),
	}
}

// nodeFlow reports whether a flow certainly has no pod on either side.
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

// addPod counts a flow for the end self. self is a pod, unless reason says why it gets no
// event.
func (s *Sink) addPod(way direction, d *emit.DroppedFlow, self, peer *resolve.Endpoint, v *policy.View, reason string, now time.Time) {
	if reason == "" {
		o := s.observe(d, podObject(self), way, peer, v, now)
		reason = s.correlator.add(o, now)
	}
	s.enter(reason, d.Packets)
}

// addNode counts a flow without a pod on either side for this node: as its destination, its
// source, or on its way between two others. Only one of the ends gets an event.
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
	s.enter(s.correlator.add(o, now), d.Packets)
	s.counters.suppress(reasonNotPod, d.Packets)
}

// observation is a flow from the view of one object.
type observation struct {
	*emit.DroppedFlow

	object      objectKey
	direction   direction
	peer        *resolve.Endpoint // as the readers of the object's events may see it
	peerKey     peerKey
	why         policy.View // the same
	first, last time.Time   // never zero; first is not after last
}

func (s *Sink) observe(d *emit.DroppedFlow, object objectKey, way direction, peer *resolve.Endpoint, v *policy.View, now time.Time) *observation {
	o := &observation{DroppedFlow: d, object: object, direction: way, peer: peer, why: policy.View{Text: d.Reason.Text}}
	if s.cfg.NamespaceOnly {
		o.peer, o.why = hide(object.eventNamespace(), peer), *v
	}
	o.peerKey = peerKeyOf(o.peer)
	o.first, o.last = d.FirstSeen, d.LastSeen
	// Times may be missing, or in the wrong order if the clock was set between two packets.
	if o.last.IsZero() {
		o.last = now
	}
	if o.first.IsZero() || o.first.After(o.last) {
		o.first = o.last
	}
	return o
}

// enter counts one end of a flow as accepted, or as suppressed with a reason.
func (s *Sink) enter(reason string, packets uint64) {
	if reason == "" {
		s.counters.accept(packets)
		return
	}
	s.counters.suppress(reason, packets)
}

// wakeUp tells Run that there may be something to write.
func (s *Sink) wakeUp() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
