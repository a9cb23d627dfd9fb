package event

import (
	"hash/fnv"
	"time"
)

// The schedule of one entry: its first write is due at once, the next ones
// after 10 s, 1 min and then every 5 min, while packets go on. With the last
// write, a flow of a minute costs three.
const (
	firstInterval  = 10 * time.Second
	intervalFactor = 6
	maxInterval    = 5 * time.Minute
	// A aggregate's text changes while its peers become more: it comes oftener.
	aggregateFactor = 2
	// The others of a pod that has an aggregate make room for it.
	crowdedInterval = time.Minute

	// spread is by how much at most an entry's second write comes later than
	// the schedule says, and so the ones after it: flows of many nodes may begin
	// in one moment, as when a policy changes.
	spread = 10 * time.Second

	// endedAfter is the least silence after which a flow has ended.
	endedAfter = 10 * time.Second

	// An entry whose write failed waits this long, doubling up to the limit.
	firstRetry = time.Second
	maxRetry   = 8 * time.Second

	// forgetAfter is how long an entry with nothing to write is kept. It can
	// be forgotten at any time: its object is adopted when it comes again.
	forgetAfter = time.Hour
)

// nextInterval returns the time to wait after a write that came interval after
// the one before it; 0 stands for the first write.
func nextInterval(interval time.Duration, aggregate, crowded bool) time.Duration {
	next := firstInterval
	switch {
	case interval > 0 && aggregate:
		next = interval * aggregateFactor
	case interval > 0:
		next = interval * intervalFactor
	}
	if crowded && !aggregate {
		next = max(next, crowdedInterval)
	}
	return min(next, maxInterval)
}

// dueAt returns when an entry with something to write should be written: at
// its interval, or earlier, when the flow has ended. The silence that tells an
// end grows with the interval, so that a flow that comes and goes is not
// written at each pause.
func dueAt(lastWrite, lastAdd time.Time, interval time.Duration) time.Time {
	if lastWrite.IsZero() {
		return lastAdd
	}
	due := lastWrite.Add(interval)
	if ended := lastAdd.Add(max(endedAfter, interval/2)); ended.Before(due) {
		return ended
	}
	return due
}

// lateness returns by how much an entry's second write comes later, from its
// object's name, so that it tells nodes apart.
func lateness(name string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // a hash takes everything
	return spread * time.Duration(h.Sum32()%1024) / 1024
}

// retryAfter returns how long an entry waits after its n-th failure in a row,
// from 1.
func retryAfter(n int) time.Duration {
	wait := firstRetry
	for ; n > 1 && wait < maxRetry; n-- {
		wait *= 2
	}
	return min(wait, maxRetry)
}
