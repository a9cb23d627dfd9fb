package resolve

import "net/netip"

// ownerState is the result of asking for the owner of an address at a time.
type ownerState uint8

const (
	ownerNone      ownerState = iota // no known pod had it
	ownerFound                       // one pod had it, and no other can have had it
	ownerAmbiguous                   // two pods can have had it, or an unseen pod
	ownerPending                     // ambiguous for now; the skew after the time it will be decided
	ownerUnproven                    // one pod had it by the last news, and this news is too old
)

// find returns the pod that had addr at the time at (Unix nanoseconds), as far as it is
// known now.
//
// An assignment may hold at a time up to skew outside of it. It certainly holds skew inside of
// it.
//
//  1. If only one pod's assignment may hold, that pod is the owner.
//  2. If several may hold, and only one of them is of this node, that pod is the owner,
//     if it is live and its assignment certainly holds. This node's routes lead to it.
//  3. Otherwise the pod that started last is the owner, if its assignment certainly holds and
//     the others have ended: an address is given away only after it was given back,
//     however late the API server reports it. After a step of the wall clock, it may
//     disagree with the time stamps of other nodes. Then this rule and the one before do
//     not apply.
//  4. Otherwise the owner is not known.
//  5. An owner is not named while changes from before the time may be missing.
func (o *ipHistory) find(addr netip.Addr, at int64) (*pod, ownerState) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	live := o.live.get(addr)
	var rest []assignment
	if len(o.more) > 0 {
		rest = o.more[addr]
	}
	switch {
	case live == nil && len(rest) == 0:
		return nil, ownerNone
	case o.gaps.stepped() && o.gaps.isOthers(at, o.now()):
		return nil, ownerAmbiguous // the time comes from another clock
	}
	var p *pod
	var v ownerState
	if len(rest) == 0 {
		p, v = o.only(addr, assignment{pod: live, certainUntil: forever, possibleUntil: forever}, at)
	} else {
		p, v = o.choose(addr, live, rest, at)
	}
	if v != ownerFound {
		return nil, v
	}
	if v = o.current(at); v != ownerFound {
		return nil, v
	}
	return p, ownerFound
}

// current returns the answer for an owner at the time at, by the last proof of the watch:
// owned, or unproven, or ambiguous if the time comes from another clock.
func (o *ipHistory) current(at int64) ownerState {
	switch {
	case !o.gaps.isStale(at):
		return ownerFound
	case at > o.now()+o.skew:
		return ownerAmbiguous
	}
	return ownerUnproven
}

// local reports whether a pod of this node has addr now.
func (o *ipHistory) local(addr netip.Addr) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	p := o.live.get(addr)
	return p != nil && p.node == o.node
}

// only decides for an address with one assignment.
func (o *ipHistory) only(addr netip.Addr, c assignment, at int64) (*pod, ownerState) {
	switch {
	case !o.may(c, at):
		return nil, ownerNone
	case c.possibleUntil == forever && c.pod.terminating && o.now() < at+o.skew:
		return nil, ownerPending // the report of its end may be on the way
	case o.surely(c, at):
		return c.pod, ownerFound
	case o.gaps.isInGap(at, o.skew), !o.whole(addr):
		return nil, ownerAmbiguous // a pod may have come and gone unseen
	case at-o.skew <= o.lost:
		return nil, ownerAmbiguous // a forgotten pod may have had it
	case o.announcedByOther(addr, at, c, true):
		return nil, ownerAmbiguous
	case at <= c.certainUntil:
		return c.pod, ownerFound
	case c.certainUntil != c.possibleUntil:
		return nil, ownerAmbiguous
	case o.now() < at+o.skew: // the next owner may not be known yet
		return nil, ownerPending
	}
	return c.pod, ownerFound
}

// choose decides for an address with several assignments. live may be nil.
func (o *ipHistory) choose(addr netip.Addr, live *pod, rest []assignment, at int64) (*pod, ownerState) {
	var s survey
	if live != nil {
		s.take(o, assignment{pod: live, certainUntil: forever, possibleUntil: forever}, at)
	}
	for _, c := range rest {
		s.take(o, c, at)
	}
	switch {
	case s.possible == 0:
		return nil, ownerNone
	case s.possible == 1:
		return o.only(addr, s.latest, at)
	case o.gaps.stepped():
		return nil, ownerAmbiguous
	case s.locals == 1 && s.local.possibleUntil == forever && o.surely(s.local, at):
		return s.local.pod, ownerFound
	}
	others := s.live
	if s.latest.possibleUntil == forever {
		others--
	}
	if others == 0 && o.surely(s.latest, at) {
		return s.latest.pod, ownerFound
	}
	return nil, ownerAmbiguous
}

// survey summarises the assignments that may hold at a time.
type survey struct {
	possible, live, locals int        // number of all assignments, of those that have not ended, of those of this node
	latest                 assignment // the assignment that started last
	local                  assignment // an assignment of this node
}

func (s *survey) take(o *ipHistory, c assignment, at int64) {
	if !o.may(c, at) {
		return
	}
	if s.possible == 0 || c.pod.from > s.latest.pod.from {
		s.latest = c
	}
	s.possible++
	if c.possibleUntil == forever {
		s.live++
	}
	if c.pod.node == o.node {
		s.locals++
		s.local = c
	}
}

func (o *ipHistory) may(c assignment, at int64) bool {
	return c.pod.from-o.skew <= at && at-o.skew <= c.possibleUntil
}

func (o *ipHistory) surely(c assignment, at int64) bool {
	return c.pod.from+o.skew <= at && at <= c.certainUntil-o.skew
}
