package event

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/policy"
)

const (
	maxReasons     = 4   // reasons that one aggregate tells apart
	shownReasons   = 2   // of these, how many its text names
	maxReasonBytes = 300 // of each
)

// reasons are why the flows of an aggregate were dropped, by the space-saving scheme
// of candidate: a newcomer takes the place of the least common.
type reasons struct {
	all  []reasonCount
	more bool // there were more than maxReasons
}

// reasonCount counts the packets of a reason, "" for those of which none is
// known. As with candidate, packets - inherited are surely its own.
type reasonCount struct {
	why                string
	packets, inherited uint64
}

// add counts a flow's packets.
func (r *reasons) add(why string, packets uint64) {
	why = emit.Cut(why, maxReasonBytes)
	least := 0
	for i := range r.all {
		c := &r.all[i]
		if c.why == why {
			c.packets += packets
			return
		}
		if c.packets < r.all[least].packets {
			least = i
		}
	}
	if len(r.all) < maxReasons {
		r.all = append(r.all, reasonCount{why: strings.Clone(why), packets: packets})
		return
	}
	r.more = true
	inherited := r.all[least].packets
	r.all[least] = reasonCount{why: strings.Clone(why), packets: inherited + packets, inherited: inherited}
}

// text returns the one reason, or the commonest of several: "several reasons:
// denied by …; denied by …; …". It is "" where nothing is known.
func (r *reasons) text() string {
	sorted := slices.Clone(r.all)
	slices.SortFunc(sorted, func(a, b reasonCount) int {
		return cmp.Or(cmp.Compare(b.packets-b.inherited, a.packets-a.inherited), cmp.Compare(a.why, b.why))
	})
	var shown []string
	for _, c := range sorted {
		if c.why != "" && len(shown) < shownReasons {
			shown = append(shown, c.why)
		}
	}
	switch {
	case len(shown) == 0:
		return ""
	case len(r.all) == 1:
		return shown[0]
	case len(r.all) > len(shown) || r.more:
		shown = append(shown, "…")
	}
	return "several reasons: " + strings.Join(shown, "; ")
}

// codeSet is a set of policy.ReasonCodes, by their place in policy.ReasonCodes.
type codeSet uint16

func (s *codeSet) add(code policy.ReasonCode) {
	if i := slices.Index(policy.ReasonCodes(), code); i >= 0 {
		*s |= 1 << i
	}
}

// String lists the codes, separated by commas.
func (s codeSet) String() string {
	var codes []string
	for i, code := range policy.ReasonCodes() {
		if s&(1<<i) != 0 {
			codes = append(codes, string(code))
		}
	}
	return strings.Join(codes, ",")
}
