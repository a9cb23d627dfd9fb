package resolve

import (
	"errors"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what was resolved, and how.
type metrics struct {
	lookups     [External + 1]prometheus.Counter // by Kind
	ambiguous   prometheus.Counter
	watchErrors *prometheus.CounterVec // by resource
	dns, peers  *prometheus.CounterVec // by result
	probes      *prometheus.CounterVec // by result
	truncated   *prometheus.CounterVec // by resource and list
}

// newMetrics registers r's metrics; with nil they count for nobody.
func newMetrics(reg prometheus.Registerer, r *Resolver) (*metrics, error) {
	lookups := counters("lookups_total", "Looked-up addresses, by the kind of their owner.", "kind")
	m := &metrics{
		ambiguous: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kube_nflog_resolve_ambiguous_total",
			Help: "Looked-up addresses whose owner is uncertain: two pods may have had the address, or the last known owner may have lost it.",
		}),
		watchErrors: counters("watch_errors_total", "Failed lists and watches, by resource.", "resource"),
		dns:         counters("dns_queries_total", "Reverse DNS questions: found, none, error, or refused because there were too many.", "result"),
		peers:       counters("peer_lookups_total", "Look-ups of pods by address at the API server: found, node, none, error, or refused because there were too many.", "result"),
		truncated:   counters("truncated_total", "Lists in objects that were too long to be read completely, by resource and list. A list counts each time its object is read.", "resource", "list"),
		probes: counters("watch_probes_total", "Small requests that check a silent watch of pods: proved, unanswered in time, "+
			"or overtaken by the end of the watch.", "result"),
	}
	for kind := range m.lookups {
		m.lookups[kind] = lookups.WithLabelValues(strings.ToLower(Kind(kind).String()))
	}
	if reg == nil {
		return m, nil
	}
	all := []prometheus.Collector{lookups, m.ambiguous, m.watchErrors, m.dns, m.peers, m.probes, m.truncated}
	all = append(all, sizes(r)...)
	var err error
	for _, c := range all {
		err = errors.Join(err, reg.Register(c))
	}
	return m, err
}

// sizes are the gauges that are read off r when they are asked for.
func sizes(r *Resolver) []prometheus.Collector {
	return []prometheus.Collector{
		gauge("addresses", "Addresses of running pods.", func() float64 { live, _, _ := r.history.size(); return float64(live) }),
		gauge("ended_owners", "Remembered former owners of addresses.", func() float64 { _, ended, _ := r.history.size(); return float64(ended) }),
		counter("evicted_owners_total", "Former owners of addresses that were forgotten early, because there were too many.", func() float64 { _, _, evicted := r.history.size(); return float64(evicted) }),
	}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "kube_nflog_resolve_" + name, Help: help}, labels)
}

func gauge(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "kube_nflog_resolve_" + name, Help: help}, value)
}

func counter(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "kube_nflog_resolve_" + name, Help: help}, value)
}
