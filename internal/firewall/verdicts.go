package firewall

import (
	"fmt"
	"strings"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// isVerdictMap reports whether an expression looks up the verdict for a packet, as in "tcp
// dport vmap { 80 : drop, 443 : accept }".
func isVerdictMap(e expr.Any) (*expr.Lookup, bool) {
	l, ok := e.(*expr.Lookup)
	return l, ok && l.IsDestRegSet && l.DestRegister == unix.NFT_REG_VERDICT
}

// expand returns a rule for each element of a verdict map that drops or jumps, with the
// number and the handle of the rule that has the map. They follow that rule, which keeps
// its other actions. matches ends with the expression that loads the map's key.
func (w words) expand(r *Rule, matches []expr.Any, lookup *expr.Lookup) []Rule {
	key := len(matches)
	for key > 0 && isLoad(matches[key-1]) {
		key--
	}
	r.Conditions, r.Match = w.conditions(matches[:key])
	all := []Rule{*r}
	m := w.maps[lookup.SetName]
	for _, e := range m.elements {
		one := Rule{Number: r.Number, Handle: r.Handle, Comment: r.Comment, InMap: true, Drops: e.drops, Jump: e.jump}
		if m.interval {
			one.Conditions, _ = w.conditions(matches[:key])
			one.Conditions = append(one.Conditions, fmt.Sprintf("%s%x in %s", w.dump(matches[key:]), e.key, lookup.SetName))
		} else {
			equal := &expr.Cmp{Op: expr.CmpOpEq, Register: lookup.SourceRegister, Data: e.key}
			one.Conditions, one.Match = w.conditions(append(matches[:len(matches):len(matches)], equal))
		}
		all = append(all, one)
	}
	return all
}

// verdictMap is a map from keys to verdicts.
type verdictMap struct {
	interval bool // the keys are the starts of ranges
	elements []verdictElement
}

// verdictElement is an element that drops or jumps.
type verdictElement struct {
	key   []byte
	drops bool
	jump  string
}

// newVerdictElement parses the attributes of a verdict. It returns false if the verdict
// neither drops nor jumps.
func newVerdictElement(key, verdict []byte) (e verdictElement, ok bool) {
	ad, err := netlink.NewAttributeDecoder(verdict)
	if err != nil {
		return e, false
	}
	e.key = key
	kind := expr.VerdictReturn // the end of a range has no verdict
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_VERDICT_CODE:
			if b := ad.Bytes(); len(b) == 4 {
				kind = expr.VerdictKind(int32(uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])))
			}
		case unix.NFTA_VERDICT_CHAIN:
			e.jump = strings.TrimRight(string(ad.Bytes()), "\x00")
		}
	}
	e.drops = kind == expr.VerdictDrop
	return e, ad.Err() == nil && (e.drops || e.jump != "")
}
