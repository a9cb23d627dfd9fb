package event

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reasons why an end of a flow gets no event, or why the packets of an accepted one were
// never written.
const (
	reasonNotPod        = "not_pod"            // a node, a service, an external or unknown address
	reasonAmbiguous     = "ambiguous"          // two owners are possible
	reasonOverflow      = "overflow"           // the flow table was full, the address is not known
	reasonExcluded      = "namespace_excluded" // by Namespaces or ExcludeNamespaces
	reasonOptedOut      = "opted_out"          // by the annotation
	reasonUnidentified  = "unidentified"       // a pod without a UID
	reasonTableFull     = "table_full"         // no room for another pod
	reasonNamespaceGone = "namespace_gone"     // the namespace does not exist
	reasonForbidden     = "forbidden"          // RBAC or an admission plugin forbids it
	reasonInvalid       = "invalid"            // the API server does not accept the event
	reasonShutdown      = "shutdown"           // not written by Flush's deadline
)

func suppressReasons() []string {
	return []string{
		reasonNotPod, reasonAmbiguous, reasonOverflow, reasonExcluded, reasonOptedOut,
		reasonUnidentified, reasonTableFull, reasonNamespaceGone, reasonInvalid,
	}
}

func unwrittenReasons() []string {
	return []string{reasonNamespaceGone, reasonInvalid, reasonForbidden, reasonTableFull, reasonShutdown}
}

// counters counts what becomes of the ends of flows and of calls. Whoever
// serialises the correlator guards pending. The metrics need no guard.
type counters struct {
	pending uint64 // accepted packets that are neither written nor given up

	accepted        prometheus.Counter
	suppressedFlows *prometheus.CounterVec
	suppressedCount *prometheus.CounterVec
	writtenCount    prometheus.Counter
	unwrittenCount  *prometheus.CounterVec
	calls           *prometheus.CounterVec
	latency         *prometheus.HistogramVec
	// by reason, so that counting costs one map look-up
	suppressed map[string]suppressedCounters
}

type suppressedCounters struct{ flows, packets prometheus.Counter }

func newCounters() *counters {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kube_nflog_" + name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kube_nflog_" + name, Help: help}, labels)
	}
	a := &counters{
		accepted: counter("event_packets_accepted_total",
			"Packets accepted for an event. A packet counts once for each of its two ends."),
		suppressedFlows: vec("event_flows_suppressed_total",
			"Flow ends that get no event, by reason.", "reason"),
		suppressedCount: vec("event_packets_suppressed_total",
			"Packets that get no event, by reason. A packet counts once for each of its two ends.", "reason"),
		writtenCount: counter("event_packets_written_total",
			"Accepted packets whose event the API server has acknowledged."),
		unwrittenCount: vec("event_packets_unwritten_total",
			"Accepted packets whose event was never written, by reason.", "reason"),
		calls: vec("event_writes_total",
			"Calls to the API server by operation (post creates, patch updates, adopt continues an event of an earlier run) and result.",
			"operation", "result"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kube_nflog_event_write_duration_seconds",
			Help:    "Duration of calls to the API server.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"operation"}),
		suppressed: map[string]suppressedCounters{},
	}
	for _, reason := range suppressReasons() {
		a.suppressed[reason] = suppressedCounters{
			flows:   a.suppressedFlows.WithLabelValues(reason),
			packets: a.suppressedCount.WithLabelValues(reason),
		}
	}
	for _, reason := range unwrittenReasons() {
		a.unwrittenCount.WithLabelValues(reason)
	}
	return a
}

func (a *counters) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		a.accepted, a.suppressedFlows, a.suppressedCount, a.writtenCount, a.unwrittenCount, a.calls, a.latency,
	}
}

// accept counts an end of a flow that is accepted for an event.
func (a *counters) accept(packets uint64) {
	a.pending += packets
	a.accepted.Add(float64(packets))
}

// suppress counts an end of a flow that gets no event.
func (a *counters) suppress(reason string, packets uint64) {
	c := a.suppressed[reason]
	c.flows.Inc()
	c.packets.Add(float64(packets))
}

// written counts packets whose event the API server has acknowledged.
func (a *counters) written(packets uint64) {
	a.pending -= packets
	a.writtenCount.Add(float64(packets))
}

// unwritten counts packets that are given up.
func (a *counters) unwritten(reason string, packets uint64) {
	a.pending -= packets
	a.unwrittenCount.WithLabelValues(reason).Add(float64(packets))
}

// called counts a call.
func (a *counters) called(op operation, result string, took time.Duration) {
	a.calls.WithLabelValues(op.String(), result).Inc()
	a.latency.WithLabelValues(op.String()).Observe(took.Seconds())
}
