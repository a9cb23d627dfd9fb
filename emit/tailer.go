package emit

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
)

const maxTailerValues = 200 // values of each label

// tailer counts packets as kube-iptables-tailer does, for its dashboards:
// packet_drops_count{src,dst}, each a namespace, or a host's name. Names beyond
// a bound, and addresses without a name, count as "other" and "".
type tailer struct {
	vec *prometheus.CounterVec

	mu       sync.Mutex // guards what follows
	src, dst map[string]struct{}
}

func newTailer() *tailer {
	return &tailer{
		vec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "packet_drops_count",
			Help: "Dropped packets by namespace or host name, as kube-iptables-tailer counts them." + lowerBound,
		}, []string{"src", "dst"}),
		src: map[string]struct{}{},
		dst: map[string]struct{}{},
	}
}

func (t *tailer) add(f *flow.Flow, src, dst *resolve.Endpoint) {
	t.mu.Lock()
	from := admit(t.src, tailerLabel(src), maxTailerValues)
	to := admit(t.dst, tailerLabel(dst), maxTailerValues)
	t.mu.Unlock()
	t.vec.WithLabelValues(from, to).Add(float64(f.Packets))
}

func tailerLabel(ep *resolve.Endpoint) string {
	if ep.Namespace != "" {
		return ep.Namespace
	}
	return clean(ep.Name)
}
