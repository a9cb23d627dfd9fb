package event

import (
	"hash/fnv"
	"time"
)

// The schedule of one entry: the first write is due at once, the next ones after
// 10 s, 1 min and then every 5 min, while packets keep coming. With the last write,
// a flow of one minute costs three writes.
const (
	firstInterval  = 10 * time.Second
	intervalFactor = 6
	maxInterval    = 5 * time.Minute
	// An aggregate is written more often, because its text changes with its peers.
	aggregateFactor = 2
	// The other entries of a pod that has an aggregate leave it more of the pod's
	// writes.
	crowdedInterval = time.Minute

	// spread is the jitter of an entry's second write, and so of the ones after it.
	// Flows of many nodes may begin at the same moment, for example when a policy
	// changes.
	spread = 10 * time.Second

	// endedAfter is the shortest silence after which a flow counts as ended.
	endedAfter = 10 * time.Second

	// An entry whose write failed waits firstRetry, which doubles up to the limit.
	firstRetry = time.Second
	maxRetry   = 8 * time.Second

	// forgetAfter is how long an idle entry is kept. It can be forgotten at any
	// time: its event is adopted when the flow comes again.
	forgetAfter = time.Hour
)

// nextInterval returns how long to wait after a write that came interval after the
// previous one. For the first write interval is 0.
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

// dueAt returns when an entry with something to write is due: after its interval,
// or earlier if the flow has ended. The silence that counts as the end grows with
// the interval. Otherwise a flow with pauses would be written at each pause.
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

// jitter returns by how much an entry's second write comes later. It depends on
// the event's name, and so differs between nodes.
func jitter(name string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // writing to a hash cannot fail
	return spread * time.Duration(h.Sum32()%1024) / 1024
}

// retryAfter returns how long an entry waits after its n-th failure in a row. n
// starts at 1.
func retryAfter(n int) time.Duration {
	wait := firstRetry
	for ; n > 1 && wait < maxRetry; n-- {
		wait *= 2
	}
	return min(wait, maxRetry)
}
