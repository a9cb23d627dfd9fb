package resolve

import (
	"math"
	"slices"
	"time"
)

// maxBlind bounds the blind times remembered. An API server that goes away more
// often than this within the memory of flows makes one long blind time.
const maxBlind = 8

// contact knows when the API server could be heard. Its times are Unix
// nanoseconds.
type contact struct {
	// last is when the API server last told something: what it had to tell
	// by then is known.
	last int64
	// blind are the times of which pods may have come and gone unseen, oldest
	// first: each from the last contact to the start of the list that made up
	// for it.
	blind []blind
}

type blind struct{ from, to int64 }

// newContact knows nothing of any time.
func newContact() contact {
	const never = math.MinInt64 / 2
	return contact{last: never, blind: []blind{{never, -never}}}
}

// listing notes that a list of everything is about to be asked for.
func (c *contact) listing(now int64) {
	latest := &c.blind[len(c.blind)-1]
	if c.last <= latest.to { // no word since: the same time goes on
		latest.to = now
		return
	}
	if len(c.blind) == maxBlind {
		c.blind[1].from = c.blind[0].from
		c.blind = slices.Delete(c.blind, 0, 1)
	}
	c.blind = append(c.blind, blind{c.last, now})
}

// heard notes that the API server told something.
func (c *contact) heard(now int64) { c.last = max(c.last, now) }

// wasBlind says whether a time within skew of at was blind.
func (c *contact) wasBlind(at, skew int64) bool {
	for _, b := range c.blind {
		if at-skew <= b.to && at+skew >= b.from {
			return true
		}
	}
	return false
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
	return claim{sure: now, until: now}
}
