package main

import (
	"cmp"
	"slices"
)

// result is the cost of one reader in one scenario, over all rounds.
type result struct {
	Reader string `json:"reader"`
	// CPU time per packet received, in microseconds.
	Median  float64 `json:"microsecondsPerPacket"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
	// OfKubeNflog is Median divided by kube-nflog's; 0 if that was not measured.
	OfKubeNflog float64 `json:"ratioToKubeNflog"`
	Offered     uint64  `json:"offered"`  // median
	Received    uint64  `json:"received"` // median
	MostLost    uint64  `json:"mostLost"` // in one round
	// Peak is the highest resident memory of all rounds.
	Peak   uint64        `json:"peakKiB"`
	Rounds []measurement `json:"rounds"`
}

// summarize fills in the other fields from the rounds. There is at least one round.
func (r *result) summarize() {
	costs := each(r.Rounds, measurement.perPacket)
	r.Median, r.Lowest, r.Highest = median(costs), slices.Min(costs), slices.Max(costs)
	r.Offered = median(each(r.Rounds, func(m measurement) uint64 { return m.Offered }))
	r.Received = median(each(r.Rounds, func(m measurement) uint64 { return m.Received }))
	r.MostLost = slices.Max(each(r.Rounds, func(m measurement) uint64 { return m.Lost }))
	r.Peak = slices.Max(each(r.Rounds, func(m measurement) uint64 { return m.Peak }))
}

func each[T, U any](all []T, f func(T) U) []U {
	out := make([]U, len(all))
	for i, t := range all {
		out[i] = f(t)
	}
	return out
}

// median returns the middle value. For an even number of values it returns the lower
// middle one, so that the result is always a measured value.
func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// results are the results of one scenario.
type results struct {
	Scenario scenario `json:"scenario"`
	// Rate is the median of packets per second that were sent to kube-nflog, or to the
	// first reader if kube-nflog was not measured.
	Rate    float64   `json:"packetsPerSecond"`
	Results []*result `json:"results"`
}

func (s *results) of(reader string) *result {
	for _, r := range s.Results {
		if r.Reader == reader {
			return r
		}
	}
	return nil
}

func (s *results) summarize() {
	if len(s.Results) == 0 {
		return
	}
	for _, r := range s.Results {
		r.summarize()
	}
	slices.SortFunc(s.Results, func(a, b *result) int {
		return cmp.Compare(slices.Index(readerNames(), a.Reader), slices.Index(readerNames(), b.Reader))
	})
	s.Rate = median(each(s.Results[0].Rounds, func(m measurement) float64 {
		return float64(m.Offered) / m.Took.Seconds()
	}))
	own := s.of(kubeNflog)
	if own == nil {
		return
	}
	for _, r := range s.Results {
		r.OfKubeNflog = r.Median / own.Median
	}
}
