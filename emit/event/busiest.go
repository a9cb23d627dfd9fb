package event

import (
	"cmp"
	"slices"
)

// busiest returns the candidates that surely had most packets, at most
// shownTop, most first; between equals the lower address, so that a message
// does not change without a reason.
func (r *aggregate) busiest() []heavyHitter {
	sorted := slices.Clone(r.top)
	slices.SortFunc(sorted, func(a, b heavyHitter) int {
		return cmp.Or(
			cmp.Compare(b.packets-b.inherited, a.packets-a.inherited),
			a.endpoint.IP.Compare(b.endpoint.IP),
			cmp.Compare(a.target.String(), b.target.String()),
		)
	})
	return sorted[:min(shownTop, len(sorted))]
}
