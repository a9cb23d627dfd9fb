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
)

// Sink writes flows as events. Make one with New.
type Sink struct {
	cfg    Config
	api    caller // nil if no events are written
	filter filter
	log    failureLog

	changed  chan struct{} // holds one token if there may be something to do
	counters *counters
	watchdog watchdog // of the dispatcher, then of the writers
	refused  refusals

	mu         sync.Mutex // guards what follows
	correlator *correlator
}

// New returns a Sink that writes through a client for core/v1. The client must
// neither limit nor retry calls. With nil the Sink does nothing. New reports all
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

// gauges returns the metrics that are read from the correlator when somebody
// collects them.
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

// Add counts a flow. It never waits for the API server. When it returns, Flush
// will write the flow. Several goroutines may call it.
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

// count counts what became of one end.
func (s *Sink) count(reason string, packets uint64) {
	if reason == "" {
		s.counters.accept(packets)
		return
	}
	s.counters.suppress(reason, packets)
}

// wakeUp tells Run to ask for the next request.
func (s *Sink) wakeUp() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}
