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
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// Emitter counts flows and writes them as events.
type Emitter struct {
	cfg    Config
	api    caller // nil: no events
	filter filter
	log    causes

	changed chan struct{} // holds one token when there may be something to do
	account *account
	pulses  pulses // the dispatcher's, then the writers'
	refused refusals

	mu     sync.Mutex // guards what follows
	ledger *ledger
}

// New returns an emitter that writes through a client for core/v1, which must
// neither limit nor retry calls itself; with nil it counts and writes no
// events. It reports all that is wrong with cfg at once.
func New(cfg Config, client rest.Interface) (*Emitter, error) {
	cfg = cfg.withDefaults()
	if client == nil {
		return newEmitter(cfg, nil)
	}
	return newEmitter(cfg, &api{client: client, timeout: cfg.CallTimeout})
}

func newEmitter(cfg Config, c caller) (*Emitter, error) {
	message, err := cfg.validate()
	if c != nil && cfg.NodeName == "" {
		err = errors.Join(errors.New("NodeName must be given"), err)
	}
	if err != nil {
		return nil, fmt.Errorf("event: config: %w", err)
	}
	e := &Emitter{
		cfg:     cfg,
		api:     c,
		filter:  newFilter(&cfg),
		log:     causes{logger: cfg.Logger, logged: map[string]time.Time{}},
		changed: make(chan struct{}, 1),
		account: newAccount(),
		pulses:  make(pulses, 1+cfg.Writers),
		refused: refusals{only: len(cfg.Namespaces) == 1},
	}
	e.ledger = newLedger(&e.cfg, message, rand.Text(), e.account)
	if err := e.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("event: register metrics: %w", err)
	}
	return e, nil
}

func (e *Emitter) register(r prometheus.Registerer) error {
	if r == nil || e.api == nil {
		return nil
	}
	var errs []error
	for _, c := range append(e.account.collectors(), e.gauges()...) {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

// gauges are read from the ledger when they are collected.
func (e *Emitter) gauges() []prometheus.Collector {
	gauge := func(name, help string, read func(l *ledger) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kube_nflog_" + name, Help: help}, func() float64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			return read(e.ledger)
		})
	}
	return []prometheus.Collector{
		gauge("event_packets_pending", "Packets taken up for an event that are still to be written.",
			func(l *ledger) float64 { return float64(l.account.pending) }),
		gauge("event_queue", "Event objects that wait for a writer.",
			func(l *ledger) float64 { return float64(l.queued()) }),
		gauge("event_records", "Event objects that the ledger keeps count of.",
			func(l *ledger) float64 { return float64(l.records) }),
		gauge("event_budget_calls_per_second", "Calls to the API server that the node may make now.",
			func(l *ledger) float64 { return l.budget.rate }),
	}
}

// Add counts a flow with what its addresses resolved to. It never waits for
// the API server and may be called from several goroutines. What it was given
// is in the metrics, and in the ledger for Flush, when it returns.
func (e *Emitter) Add(f flow.Flow, src, dst resolve.Endpoint) {
	e.AddExplained(f, src, dst, &emit.Explanation{})
}

// AddExplained is Add for a flow of which more is known. It does not keep x.
func (e *Emitter) AddExplained(f flow.Flow, src, dst resolve.Endpoint, x *emit.Explanation) {
	if e.api == nil {
		return
	}
	ends := e.endsOf(&src, &dst)
	if ends.none() {
		e.account.suppress(ends.source, f.Packets)
		e.account.suppress(ends.destination, f.Packets)
		return
	}
	now := e.cfg.Now()
	tidy(&f, now)
	e.mu.Lock()
	e.addEnds(&f, &src, &dst, ends, x, now)
	stirred := e.ledger.stirred
	e.mu.Unlock()
	if stirred {
		e.wakeUp()
	}
}

// tidy sets times right that are missing or in a wrong order, as they may be
// when the clock was set between two packets.
func tidy(f *flow.Flow, now time.Time) {
	if f.LastSeen.IsZero() {
		f.LastSeen = now
	}
	if f.FirstSeen.IsZero() || f.FirstSeen.After(f.LastSeen) {
		f.FirstSeen = f.LastSeen
	}
}

// ends says of both ends of a flow why they get no event, "" for one that does.
type ends struct {
	source, destination string
	node                bool // the flow is the node's
}

// none says that nobody gets an event.
func (n *ends) none() bool { return n.source != "" && n.destination != "" && !n.node }

func (e *Emitter) endsOf(src, dst *resolve.Endpoint) ends {
	return ends{
		source: e.filter.reason(src), destination: e.filter.reason(dst),
		node: e.cfg.NodeEvents && nodeFlow(src, dst),
	}
}

func (e *Emitter) addEnds(f *flow.Flow, src, dst *resolve.Endpoint, ends ends, x *emit.Explanation, now time.Time) {
	hides := e.cfg.NamespaceOnly
	if ends.node {
		e.addNode(f, src, dst, toldOf(x, hides, &x.Node), now)
		return
	}
	e.addPod(sending, f, src, dst, ends.source, toldOf(x, hides, &x.Source), now)
	e.addPod(receiving, f, dst, src, ends.destination, toldOf(x, hides, &x.Destination), now)
}

// nodeFlow says that a flow has no pod on either side, for sure.
func nodeFlow(src, dst *resolve.Endpoint) bool {
	return src.Kind != resolve.Pod && dst.Kind != resolve.Pod && !src.Ambiguous && !dst.Ambiguous
}

// addPod counts a flow for the end that is itself, a pod unless there is a
// reason why it gets no event.
func (e *Emitter) addPod(d direction, f *flow.Flow, self, peer *resolve.Endpoint, reason string, t told, now time.Time) {
	if reason == "" {
		key := podSubject(self)
		peer = e.hide(key.eventNamespace(), peer)
		reason = e.ledger.add(&key, d, f, peer, peerKeyOf(peer), t, now)
	}
	e.enter(reason, f.Packets)
}

// addNode counts a flow without a pod on either side for this node: as its
// destination, its source, or on its way between two others. Only one of the
// ends gets an event.
func (e *Emitter) addNode(f *flow.Flow, src, dst *resolve.Endpoint, t told, now time.Time) {
	key := nodeSubject(e.cfg.NodeName)
	src, dst = e.hide(key.eventNamespace(), src), e.hide(key.eventNamespace(), dst)
	var reason string
	switch {
	case dst.Kind == resolve.Node && dst.Name == e.cfg.NodeName:
		reason = e.ledger.add(&key, receiving, f, src, peerKeyOf(src), t, now)
	case src.Kind == resolve.Node && src.Name == e.cfg.NodeName:
		reason = e.ledger.add(&key, sending, f, dst, peerKeyOf(dst), t, now)
	default:
		between := peerKeyOf(src)
		between.via = f.Destination
		reason = e.ledger.add(&key, forwarding, f, src, between, t, now)
	}
	e.enter(reason, f.Packets)
	e.account.suppress(reasonNotPod, f.Packets)
}

// enter counts what became of one end.
func (e *Emitter) enter(reason string, packets uint64) {
	if reason == "" {
		e.account.accept(packets)
		return
	}
	e.account.suppress(reason, packets)
}

// wakeUp tells Run that there may be something to write.
func (e *Emitter) wakeUp() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}
