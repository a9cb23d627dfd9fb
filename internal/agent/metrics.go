//go:build linux

package agent

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/internal/fastpath"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
)

// metrics are the counters of the packet path. Later stages register their own. For each
// group, received = folded + ignored + undecodable.
type metrics struct {
	registry    *prometheus.Registry
	received    *prometheus.CounterVec
	folded      *prometheus.CounterVec
	ignored     *prometheus.CounterVec
	undecodable *prometheus.CounterVec
	overflowed  *prometheus.CounterVec
	duplicate   *prometheus.CounterVec
	unconfirmed *prometheus.CounterVec
	lost        *prometheus.CounterVec
	overruns    *prometheus.CounterVec
	unsized     *prometheus.CounterVec
	reopened    *prometheus.CounterVec
	unwritten   prometheus.Counter
	waiting     waitingMetrics
}

// waitingMetrics are about flows that wait for their pods.
type waitingMetrics struct {
	waiting                            prometheus.Gauge
	woken, expired, released, overflow prometheus.Counter
}

func newWaitingMetrics(reg prometheus.Registerer) waitingMetrics {
	waiting := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kube_nflog_resolve_waiting", Help: "Flows that wait for the owner of an address.",
	})
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kube_nflog_resolve_waits_total",
		Help: "Flows that waited for the owner of an address: woken by news, expired, released at the end, or not held (overflow).",
	}, []string{"result"})
	reg.MustRegister(waiting, ended)
	return waitingMetrics{
		waiting: waiting, woken: ended.WithLabelValues("woken"), expired: ended.WithLabelValues("expired"),
		released: ended.WithLabelValues("released"), overflow: ended.WithLabelValues("overflow"),
	}
}

func newMetrics(version string) *metrics {
	m := &metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kube_nflog_" + name, Help: help}, append([]string{"group"}, labels...))
		m.registry.MustRegister(c)
		return c
	}
	m.received = counter("packets_received_total", "Packets that the kernel delivered.")
	m.folded = counter("packets_folded_total", "Packets that were decoded and folded into flows.")
	m.ignored = counter("packets_ignored_total", "Packets that --prefix leaves out, or whose NFLOG prefix says that the packet was allowed.")
	m.undecodable = counter("packets_undecodable_total", "Packets without a complete IP header, by reason.", "reason")
	m.overflowed = counter("packets_overflowed_total", "Folded packets for which the flow table was full. They are counted in overflow flows.")
	m.duplicate = counter("packets_duplicate_total", "Folded packets that both a policy's rule and the pod's rule logged. They are reported once.")
	m.unconfirmed = counter("packets_unconfirmed_total", "Folded packets that a policy's rule logged, but not the pod's rule. Another policy allowed them, or the pod's rule has reached its limit.")
	m.lost = counter("packets_lost_total", "Packets that the kernel numbered but could not deliver.")
	m.overruns = counter("socket_overruns_total", "How often the receive buffer of the netlink socket was full.")
	m.unsized = counter("socket_overruns_unsized_total", "Overruns after which no packet came within a second, or before the end. The number of lost packets is not known. If a packet comes later, they are added to packets_lost_total.")
	m.reopened = counter("socket_reopened_total", "How often the netlink socket failed and was bound again.")
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.unwritten = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "kube_nflog_lines_unwritten_total", Help: "JSON lines that could not be written to standard output.",
	})
	m.registry.MustRegister(m.unwritten, buildInfo(version))
	m.waiting = newWaitingMetrics(m.registry)
	return m
}

func buildInfo(version string) prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kube_nflog_build_info", Help: "Always 1; the label is the version.",
		ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	return info
}

// packetCounters are the counters of one group.
type packetCounters struct {
	received, folded, ignored, overflowed prometheus.Counter
	lost, overruns, unsized, reopened     prometheus.Counter
	undecodable                           map[decode.Result]prometheus.Counter
	messages                              prometheus.Counter // netlink messages that could not be parsed

	overflowedSoFar uint64
}

func (m *metrics) group(group uint16) *packetCounters {
	g := strconv.Itoa(int(group))
	c := &packetCounters{
		received: m.received.WithLabelValues(g), folded: m.folded.WithLabelValues(g),
		ignored: m.ignored.WithLabelValues(g), overflowed: m.overflowed.WithLabelValues(g),
		lost: m.lost.WithLabelValues(g), overruns: m.overruns.WithLabelValues(g),
		unsized: m.unsized.WithLabelValues(g), reopened: m.reopened.WithLabelValues(g),
		undecodable: make(map[decode.Result]prometheus.Counter),
		messages:    m.undecodable.WithLabelValues(g, "message"),
	}
	for _, r := range []decode.Result{decode.NotIP, decode.Truncated, decode.Malformed} {
		c.undecodable[r] = m.undecodable.WithLabelValues(g, r.String())
	}
	return c
}

// mergedCounters count packets of one group that other packets stand for.
type mergedCounters struct{ duplicate, unconfirmed prometheus.Counter }

func (m *metrics) merged(group uint16) mergedCounters {
	g := strconv.Itoa(int(group))
	return mergedCounters{m.duplicate.WithLabelValues(g), m.unconfirmed.WithLabelValues(g)}
}

func (c mergedCounters) add(n dialect.Counts) {
	addTo(c.duplicate, int(n.Duplicate))
	addTo(c.unconfirmed, int(n.Unconfirmed))
}

// add counts what one read brought.
func (c *packetCounters) add(count nflog.Count, results *fastpath.Results) {
	addTo(c.received, count.Packets+count.Malformed)
	addTo(c.folded, results[decode.Decoded])
	addTo(c.ignored, results[decode.Ignored])
	addTo(c.messages, count.Malformed)
	for r, counter := range c.undecodable {
		addTo(counter, results[r])
	}
	addTo(c.lost, int(count.Lost))
	addTo(c.overruns, count.Overruns)
	addTo(c.unsized, count.Unsized)
	if count.Reopened {
		c.reopened.Inc()
	}
}

// overflowedTo sets the counter to the table's running total.
func (c *packetCounters) overflowedTo(total uint64) {
	addTo(c.overflowed, int(total-c.overflowedSoFar))
	c.overflowedSoFar = total
}

func addTo(c prometheus.Counter, n int) {
	if n != 0 {
		c.Add(float64(n))
	}
}
