package resolve

import (
	"math"
	"slices"
	"time"
)

// maxGaps bounds the remembered gaps in the watch. If the API server goes away more often
// than this within the memory of flows, the gaps become one long gap.
const maxGaps = 8

// watchGaps keeps the time up to which all changes of pods are known. Its times are Unix
// nanoseconds.
//
// An open watch proves little: it may hang, it may resume from long ago, or it may be about
// to end. Three things prove that nothing is missing:
//
//  1. A bookmark: everything before it has been sent.
//  2. The API server's answer to a probe that was sent while the same watch was open:
//     everything before the probe has been sent.
//  3. A change, if the last proof is not older than the skew. After a longer silence the
//     change may be the first of many.
type watchGaps struct {
	skew, keep int64
	// told is the time when the last change arrived.
	told int64
	// known is the time up to which all changes are known.
	known int64
	// since is the time of the last step of the wall clock, never if it has not stepped.
	// Times before it come from another clock and cannot be compared. Until the time
	// othersGo, times of others may come from the other clock too.
	since    int64
	others   gap
	othersGo int64

	complete bool   // the last list was taken in
	open     bool   // a watch is open that continues from there
	proven   bool   // proven by 1 or 2 since the watch is open
	stream   uint64 // counts the events that invalidate a proof under way

	// gaps are times in which pods may have come and gone unseen, oldest
	// first. A gap lasts from the last proof to the start of the list that closed it.
	gaps []gap
}

type gap struct{ from, to int64 }

// never is earlier than any time, and -never later.
const never = math.MinInt64 / 2

// newWatchGaps returns watchGaps that knows no changes.
func newWatchGaps(skew, keep int64) watchGaps {
	return watchGaps{skew: skew, keep: keep, told: never, known: never, since: never, gaps: []gap{{never, -never}}}
}

// listing records that a list of everything is about to be requested.
func (c *watchGaps) listing(now int64) {
	c.complete, c.open, c.proven = false, false, false
	c.stream++
	c.addGap(now)
}

// addGap records a gap from the last proof until now.
func (c *watchGaps) addGap(now int64) {
	latest := &c.gaps[len(c.gaps)-1]
	if c.known <= latest.to { // no proof since the last gap, so it becomes longer
		latest.to = now
		return
	}
	if len(c.gaps) == maxGaps {
		c.gaps[1].from = c.gaps[0].from
		c.gaps = slices.Delete(c.gaps, 0, 1)
	}
	c.gaps = append(c.gaps, gap{c.known, now})
}

// listed records that the list was taken in.
func (c *watchGaps) listed() { c.complete = true }

// opened records that the API server answered a watch. The watch may still fail to continue
// where the last one ended.
func (c *watchGaps) opened() {
	c.open, c.proven = true, false
	c.stream++
}

// closed records that the watch ended.
func (c *watchGaps) closed() {
	c.open, c.proven = false, false
	c.stream++
}

// took records that a change of a watch or a list is taken in.
func (c *watchGaps) took(now int64) { c.told = max(c.told, now) }

// heard records that a change of the watch was taken in.
func (c *watchGaps) heard(now int64) {
	if c.proven && now-c.known <= c.skew {
		c.known = max(c.known, now)
	}
}

// marked records a bookmark.
func (c *watchGaps) marked(now int64) { c.prove(now) }

// probing returns the watch that a probe would prove. ok is false if no watch is open.
func (c *watchGaps) probing() (stream uint64, ok bool) {
	return c.stream, c.open && c.complete
}

// probed records the answer to a probe that was sent at the time sent. It reports whether
// the answer is a proof.
func (c *watchGaps) probed(stream uint64, sent int64) bool {
	return c.stream == stream && c.prove(sent)
}

func (c *watchGaps) prove(at int64) bool {
	if !c.open || !c.complete {
		return false
	}
	c.proven = true
	c.known = max(c.known, at)
	return true
}

// unanswered records that a probe was not answered in time: the watch may hang.
func (c *watchGaps) unanswered(stream uint64) {
	if c.stream == stream {
		c.proven = false
	}
}

// step records that the wall clock went forward by the given time, and that its new time
// began at since. Drops from before the step may still come for a while.
func (c *watchGaps) step(now, since, by int64) {
	before := now - by // by the old clock
	if c.stepped() && now < c.othersGo+by {
		c.others = gap{min(c.others.from, before-c.keep), max(c.others.to, before)}
	} else {
		c.others = gap{before - c.keep, before}
	}
	c.othersGo = now + c.keep
	c.since = since
	c.told = now
	c.stream++ // a probe under way has a time of the old clock
	if c.known != never {
		c.known = min(c.known+by, now)
	}
	c.gaps = []gap{{never, since}}
	if c.known <= never || !c.complete {
		c.gaps[0].to = max(since, now)
	}
}

// stepped reports whether the wall clock has stepped. Then it may disagree with the time
// stamps of other nodes, and these prove nothing.
func (c *watchGaps) stepped() bool { return c.since != never }

// isOthers reports whether a time may come from the wall clock before its step.
func (c *watchGaps) isOthers(at, now int64) bool {
	return at < c.since || now < c.othersGo && c.others.from <= at && at <= c.others.to
}

// start returns the time since which a pod certainly has the addresses that were reported
// now. stamp is the time in the pod's status. A pod that is reported has started.
func (c *watchGaps) start(stamp, now int64) int64 {
	if !c.stepped() {
		return min(stamp, now)
	}
	c.addGap(now) // the pod may have started at any time since the last proof
	return now
}

// isStale reports whether changes before at may be missing.
func (c *watchGaps) isStale(at int64) bool { return at > c.known+c.skew }

// isInGap reports whether a time within skew of at is in a gap.
func (c *watchGaps) isInGap(at, skew int64) bool {
	for _, b := range c.gaps {
		if at-skew <= b.to && at+skew >= b.from {
			return true
		}
	}
	return false
}

// seenEnd returns the end of an assignment that the watch reported now. After a silence the
// report may be old. If the wall clock has stepped, time stamps of other nodes do not show
// who came next either.
func (c *watchGaps) seenEnd(now int64) assignment {
	if c.proven && now-c.known <= c.skew && !c.stepped() {
		return assignment{certainUntil: now, possibleUntil: now, seen: true}
	}
	return assignment{certainUntil: min(now, c.known), possibleUntil: now, seen: true}
}

// unseenEnd returns the end of an assignment that ended unseen and that a list reported now.
func (c *watchGaps) unseenEnd(now int64) assignment {
	return assignment{certainUntil: min(now, c.gaps[len(c.gaps)-1].from), possibleUntil: now}
}

// seenLosing returns the end of an assignment whose pod continues without the address. It is not
// known whether a watch or a list reported it. So shortly after a list it counts as the
// list's.
func (c *watchGaps) seenLosing(now int64) assignment {
	if now-c.gaps[len(c.gaps)-1].to < int64(30*time.Second) {
		return c.unseenEnd(now)
	}
	return c.seenEnd(now)
}

// watching tells the owners how the watch of pods goes.
type watching struct{ r *Resolver }

func (w watching) listing() {
	now := w.r.now()
	w.r.history.note(func(c *watchGaps) { c.listing(now) })
}

func (w watching) listed() {
	w.r.history.note((*watchGaps).listed)
	w.r.prober.want()
}

func (w watching) opened() {
	w.r.history.note((*watchGaps).opened)
	w.r.prober.want() // deletions that come now are only certain once it is proven
}

func (w watching) closed() { w.r.history.note((*watchGaps).closed) }

func (w watching) heard() {
	now := w.r.now()
	w.r.history.note(func(c *watchGaps) { c.heard(now) })
}

func (w watching) marked() {
	now := w.r.now()
	w.r.history.note(func(c *watchGaps) { c.marked(now) })
}

// note changes what is known of the watch.
func (o *ipHistory) note(change func(*watchGaps)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.gaps)
}

// probing returns which watch a probe is about to prove; ok is false if there
// is none.
func (o *ipHistory) probing() (stream uint64, ok bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.gaps.probing()
}

// probed notes an answer to a probe, and reports whether it proves something.
func (o *ipHistory) probed(stream uint64, sent int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gaps.probed(stream, sent)
}

// isStale reports whether changes of pods from before the time at may be missing.
func (o *ipHistory) isStale(at int64) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.gaps.isStale(at)
}

// unanswered notes that a probe was not answered.
func (o *ipHistory) unanswered(stream uint64) {
	o.note(func(c *watchGaps) { c.unanswered(stream) })
}

// stepped forgets what the wall clock's step made useless: the ended assignments,
// whose times are of another clock. Live assignments go on; what is live has begun.
func (o *ipHistory) stepped(now, since, by int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gaps.step(now, since, by)
	o.ended, o.lost, o.pastAnnouncements = queue[ended]{}, never, newPastAnnouncements()
	begun := func(p *pod) { p.from = min(p.from, now) }
	for addr, assignments := range o.more {
		kept := assignments[:0]
		for _, c := range assignments {
			switch c.possibleUntil {
			case forever:
				begun(c.pod)
				kept = append(kept, c)
			case givenBack:
				begun(c.pod)
				c.certainUntil = never
				kept = append(kept, c)
			}
		}
		clear(assignments[len(kept):])
		if o.more[addr] = kept; len(kept) == 0 {
			delete(o.more, addr)
		}
	}
	for _, p := range o.live.four {
		begun(p)
	}
	for _, p := range o.live.six {
		begun(p)
	}
}
