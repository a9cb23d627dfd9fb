package metric

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/resolve"
)

const (
	maxTailerNames  = 200  // namespaces, nodes and Services for each label
	maxTailerHosts  = 50   // outside hosts for each label, because the owner of an address chooses its name
	maxTailerSeries = 1000 // in addition to the one that is all "other"
)

// tailer counts packets as kube-iptables-tailer does, for its dashboards:
// packet_drops_count{src,dst}. Each label is a namespace or the name of a host. Names
// beyond a bound count as "other", and addresses without a name as "".
type tailer struct {
	vec *prometheus.CounterVec

	mu       sync.Mutex // guards what follows
	src, dst tailerLabels
	series   map[tailerPair]struct{}
}

type tailerPair struct{ src, dst string }

// tailerLabels are the known values of one label. Names of outside hosts have their own
// bound, so that they cannot displace names of the cluster.
type tailerLabels struct{ names, hosts map[string]struct{} }

func newTailerLabels() tailerLabels {
	return tailerLabels{names: map[string]struct{}{}, hosts: map[string]struct{}{}}
}

func newTailer() *tailer {
	return &tailer{
		vec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "packet_drops_count",
			Help: "Dropped packets by namespace or host name, as kube-iptables-tailer counts them. A lower bound if the rule that logs has a limit.",
		}, []string{"src", "dst"}),
		src:    newTailerLabels(),
		dst:    newTailerLabels(),
		series: map[tailerPair]struct{}{},
	}
}

func (t *tailer) add(d *emit.DroppedFlow) {
	t.mu.Lock()
	pair := t.bound(tailerPair{t.src.of(&d.Source), t.dst.of(&d.Destination)})
	t.mu.Unlock()
	t.vec.WithLabelValues(pair.src, pair.dst).Add(float64(d.Packets))
}

// bound replaces a pair beyond the bound by "other".
func (t *tailer) bound(pair tailerPair) tailerPair {
	if _, ok := t.series[pair]; ok {
		return pair
	}
	if len(t.series) >= maxTailerSeries {
		return tailerPair{other, other}
	}
	t.series[pair] = struct{}{}
	return pair
}

// of returns the label's value for an endpoint.
func (l tailerLabels) of(ep *resolve.Endpoint) string {
	switch {
	case ep.Namespace != "":
		return admit(l.names, ep.Namespace, maxTailerNames)
	case ep.Name == "":
		return ""
	case ep.Kind != resolve.External:
		return admit(l.names, emit.Clean(ep.Name), maxTailerNames)
	case !strings.Contains(ep.Name, "."): // a host's name could be the same as a namespace's
		return other
	}
	return admit(l.hosts, emit.Clean(ep.Name), maxTailerHosts)
}
