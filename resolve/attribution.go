package resolve

import "net/netip"

// verdict is the result of asking for the owner of an address at a time.
type verdict uint8

const (
	nobody    verdict = iota // no known pod had it
	owned                    // one pod had it, and no other can have had it
	contested                // two pods can have had it, or an unseen pod
	unsettled                // contested for now; the skew after the time it will be decided
	stale                    // one pod had it by the last news, and this news is too old
)

// find returns the pod that had addr at the time at (Unix nanoseconds), as far as it is
// known now.
//
// A claim may hold at a time up to skew outside of it. It certainly holds skew inside of
// it.
//
//  1. If only one pod's claim may hold, that pod is the owner.
//  2. If several may hold, and only one of them is of this node, that pod is the owner,
//     if it is live and its claim certainly holds. This node's routes lead to it.
//  3. Otherwise the pod that started last is the owner, if its claim certainly holds and
//     the others have ended: an address is given away only after it was given back,
//     however late the API server reports it. After a step of the wall clock, it may
//     disagree with the time stamps of other nodes. Then this rule and the one before do
//     not apply.
//  4. Otherwise the owner is not known.
//  5. An owner is not named while changes from before the time may be missing.
func (o *owners) find(addr netip.Addr, at int64) (*pod, verdict) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	live := o.live.get(addr)
	var rest []claim
	if len(o.more) > 0 {
		rest = o.more[addr]
	}
	switch {
	case live == nil && len(rest) == 0:
		return nil, nobody
	case o.contact.stepped() && o.contact.isOthers(at, o.now()):
		return nil, contested // the time comes from another clock
	}
	var p *pod
	var v verdict
	if len(rest) == 0 {
		p, v = o.only(addr, claim{pod: live, sure: forever, until: forever}, at)
	} else {
		p, v = o.choose(addr, live, rest, at)
	}
	if v != owned {
		return nil, v
	}
	if v = o.current(at); v != owned {
		return nil, v
	}
	return p, owned
}

// current returns the verdict for an owner at the time at, by the last proof of the watch:
// owned, or stale, or contested if the time comes from another clock.
func (o *owners) current(at int64) verdict {
	switch {
	case !o.contact.isStale(at):
		return owned
	case at > o.now()+o.skew:
		return contested
	}
	return stale
}

// local reports whether a pod of this node has addr now.
func (o *owners) local(addr netip.Addr) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	p := o.live.get(addr)
	return p != nil && p.node == o.node
}

// only decides for an address with one claim.
func (o *owners) only(addr netip.Addr, c claim, at int64) (*pod, verdict) {
	switch {
	case !o.may(c, at):
		return nil, nobody
	case c.until == forever && c.pod.terminating && o.now() < at+o.skew:
		return nil, unsettled // the report of its end may be on the way
	case o.surely(c, at):
		return c.pod, owned
	case o.contact.wasBlind(at, o.skew), !o.whole(addr):
		return nil, contested // a pod may have come and gone unseen
	case at-o.skew <= o.lost:
		return nil, contested // a forgotten pod may have had it
	case o.rumoured(addr, at, c, true):
		return nil, contested
	case at <= c.sure:
		return c.pod, owned
	case c.sure != c.until:
		return nil, contested
	case o.now() < at+o.skew: // the next owner may not be known yet
		return nil, unsettled
	}
	return c.pod, owned
}

// choose decides for an address with several claims. live may be nil.
func (o *owners) choose(addr netip.Addr, live *pod, rest []claim, at int64) (*pod, verdict) {
	var s survey
	if live != nil {
		s.take(o, claim{pod: live, sure: forever, until: forever}, at)
	}
	for _, c := range rest {
		s.take(o, c, at)
	}
	switch {
	case s.possible == 0:
		return nil, nobody
	case s.possible == 1:
		return o.only(addr, s.latest, at)
	case o.contact.stepped():
		return nil, contested
	case s.locals == 1 && s.local.until == forever && o.surely(s.local, at):
		return s.local.pod, owned
	}
	others := s.live
	if s.latest.until == forever {
		others--
	}
	if others == 0 && o.surely(s.latest, at) {
		return s.latest.pod, owned
	}
	return nil, contested
}

// survey summarises the claims that may hold at a time.
type survey struct {
	possible, live, locals int   // number of all claims, of those that have not ended, of those of this node
	latest                 claim // the claim that started last
	local                  claim // a claim of this node
}

func (s *survey) take(o *owners, c claim, at int64) {
	if !o.may(c, at) {
		return
	}
	if s.possible == 0 || c.pod.from > s.latest.pod.from {
		s.latest = c
	}
	s.possible++
	if c.until == forever {
		s.live++
	}
	if c.pod.node == o.node {
		s.locals++
		s.local = c
	}
}

func (o *owners) may(c claim, at int64) bool {
	return c.pod.from-o.skew <= at && at-o.skew <= c.until
}

func (o *owners) surely(c claim, at int64) bool {
	return c.pod.from+o.skew <= at && at <= c.sure-o.skew
}
