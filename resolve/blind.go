package resolve

import (
	"math"
	"slices"
	"time"
)

// maxBlind bounds the blind times remembered. An API server that goes away more
// often than this within the memory of flows makes one long blind time.
const maxBlind = 8

// contact knows up to which time all changes of pods are known. Its times are
// Unix nanoseconds.
//
// That a watch is open proves little: it may be stuck, resume long before now,
// or be about to end. Three things prove that nothing is missing:
//
//  1. A bookmark: everything before it has been sent.
//  2. An answer of the API server to a probe that was sent while the same watch
//     was open: everything before the probe has been sent.
//  3. A change, while the last proof is not older than the skew. After a longer
//     silence it may be the first of many that are on their way.
type contact struct {
	skew, keep int64
	// told is when the last change arrived.
	told int64
	// known is the time up to which all is known.
	known int64
	// since is the start of the wall clock's present time, never if it has not
	// stepped. Times before it are of another clock, and compare with nothing.
	// So may be those of others until the time othersGo.
	since    int64
	others   blind
	othersGo int64

	complete bool   // the last list has been taken in
	open     bool   // a watch goes on from there
	proven   bool   // by 1 or 2, since it is open
	stream   uint64 // counts what may break a proof

	// blind are the times of which pods may have come and gone unseen, oldest
	// first: each from the last proof to the start of the list that made up
	// for it.
	blind []blind
}

type blind struct{ from, to int64 }

// never is long before any time, -never long after.
const never = math.MinInt64 / 2

// newContact knows nothing of any time.
func newContact(skew, keep int64) contact {
	return contact{skew: skew, keep: keep, told: never, known: never, since: never, blind: []blind{{never, -never}}}
}

// listing notes that a list of everything is about to be requested.
func (c *contact) listing(now int64) {
	c.complete, c.open, c.proven = false, false, false
	c.stream++
	c.addBlind(now)
}

// addBlind notes that the time from the last proof until now was blind.
func (c *contact) addBlind(now int64) {
	latest := &c.blind[len(c.blind)-1]
	if c.known <= latest.to { // no proof since: the same time goes on
		latest.to = now
		return
	}
	if len(c.blind) == maxBlind {
		c.blind[1].from = c.blind[0].from
		c.blind = slices.Delete(c.blind, 0, 1)
	}
	c.blind = append(c.blind, blind{c.known, now})
}

// listed notes that the list has been taken in.
func (c *contact) listed() { c.complete = true }

// opened notes that the API server answered a watch. It may still say that it
// cannot go on from where the last one ended.
func (c *contact) opened() {
	c.open, c.proven = true, false
	c.stream++
}

// closed notes that the watch ended.
func (c *contact) closed() {
	c.open, c.proven = false, false
	c.stream++
}

// took notes that a change is taken in, be it a watch's or a list's.
func (c *contact) took(now int64) { c.told = max(c.told, now) }

// heard notes that a change which the watch sent has been taken in.
func (c *contact) heard(now int64) {
	if c.proven && now-c.known <= c.skew {
		c.known = max(c.known, now)
	}
}

// marked notes a bookmark.
func (c *contact) marked(now int64) { c.prove(now) }

// probing returns which watch a probe is about to prove; ok is false if there
// is none to prove.
func (c *contact) probing() (stream uint64, ok bool) {
	return c.stream, c.open && c.complete
}

// probed notes that a probe sent at the time sent was answered, and reports
// whether that is a proof.
func (c *contact) probed(stream uint64, sent int64) bool {
	return c.stream == stream && c.prove(sent)
}

func (c *contact) prove(at int64) bool {
	if !c.open || !c.complete {
		return false
	}
	c.proven = true
	c.known = max(c.known, at)
	return true
}

// unanswered notes that a probe was not answered in time: the watch may be
// stuck.
func (c *contact) unanswered(stream uint64) {
	if c.stream == stream {
		c.proven = false
	}
}

// step notes that the wall clock went ahead by so much, and that its present
// time began at since. Drops of the time before are handed on for a while.
func (c *contact) step(now, since, by int64) {
	before := now - by // by the clock that was
	if c.stepped() && now < c.othersGo+by {
		c.others = blind{min(c.others.from, before-c.keep), max(c.others.to, before)}
	} else {
		c.others = blind{before - c.keep, before}
	}
	c.othersGo = now + c.keep
	c.since = since
	c.told = now
	c.stream++ // a probe under way was sent at another clock's time
	if c.known != never {
		c.known = min(c.known+by, now)
	}
	c.blind = []blind{{never, since}}
	if c.known <= never || !c.complete {
		c.blind[0].to = max(since, now)
	}
}

// stepped reports whether the wall clock has stepped: then it may disagree with
// the time stamps of other nodes, and these prove nothing.
func (c *contact) stepped() bool { return c.since != never }

// isOthers reports whether a time may be of the wall clock before it stepped.
func (c *contact) isOthers(at, now int64) bool {
	return at < c.since || now < c.othersGo && c.others.from <= at && at <= c.others.to
}

// start is from when a pod certainly has its addresses, of which news came
// now; stamp is what the pod's status says. What is told has begun.
func (c *contact) start(stamp, now int64) int64 {
	if !c.stepped() {
		return min(stamp, now)
	}
	c.addBlind(now) // it may have begun at any time since the last proof
	return now
}

// isStale reports whether changes before at may be missing.
func (c *contact) isStale(at int64) bool { return at > c.known+c.skew }

// wasBlind reports whether a time within skew of at was blind.
func (c *contact) wasBlind(at, skew int64) bool {
	for _, b := range c.blind {
		if at-skew <= b.to && at+skew >= b.from {
			return true
		}
	}
	return false
}

// seenEnd is the end of a claim of which the watch told now. After a silence it
// may be old news. Where the wall clock has stepped, the time stamps of other
// nodes do not show who came next either.
func (c *contact) seenEnd(now int64) claim {
	if c.proven && now-c.known <= c.skew && !c.stepped() {
		return claim{sure: now, until: now, seen: true}
	}
	return claim{sure: min(now, c.known), until: now, seen: true}
}

// unseenEnd is the end of a claim that ended while nothing was seen, of which a
// list told now.
func (c *contact) unseenEnd(now int64) claim {
	return claim{sure: min(now, c.blind[len(c.blind)-1].from), until: now}
}

// seenLosing is the end of a claim whose pod goes on without the address. It
// is not known whether a watch told or a list, so shortly after a list it is
// taken for the list's.
func (c *contact) seenLosing(now int64) claim {
	if now-c.blind[len(c.blind)-1].to < int64(30*time.Second) {
		return c.unseenEnd(now)
	}
	return c.seenEnd(now)
}
