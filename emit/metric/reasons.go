package metric

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/policy"
)

// reasons counts packets by the code of their reason. Every code has a series from the
// start, so that rates are right.
type reasons struct {
	vec    *prometheus.CounterVec
	byCode map[policy.ReasonCode]prometheus.Counter
}

func newReasons() *reasons {
	r := &reasons{
		vec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kube_nflog_explained_packets_total",
			Help: "Dropped packets by reason code: denied_ingress, denied_egress, denied_both, allowed, allowed_lately, " +
				"unselected, rule or unknown." + lowerBound,
		}, []string{"reason"}),
		byCode: map[policy.ReasonCode]prometheus.Counter{},
	}
	for _, code := range policy.ReasonCodes() {
		r.byCode[code] = r.vec.WithLabelValues(string(code))
	}
	return r
}

func (r *reasons) add(d *emit.DroppedFlow) {
	r.byCode[knownCode(d.Reason.Code)].Add(float64(d.Packets))
}

// knownCode returns ReasonUnknown for a flow without a code, because nobody has explained
// it.
func knownCode(code policy.ReasonCode) policy.ReasonCode {
	if code == "" {
		return policy.ReasonUnknown
	}
	return code
}
