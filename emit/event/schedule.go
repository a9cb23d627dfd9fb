package event

import (
	"hash/fnv"
	"time"
)

// The schedule of an entry: the first write is due at once, the next ones after 10 s, 1 min
// and then every 5 min, while packets go on. With the last write, a flow of a minute costs
// three writes.
const (
	firstInterval  = 10 * time.Second
	intervalFactor = 6
	maxInterval    = 5 * time.Minute
	// The text of an aggregate changes while it gets more peers, so it is written more
	// often.
	aggregateFactor = 2
	// If a pod has an aggregate, its other entries are written less often.
	crowdedInterval = time.Minute

	// spread is the largest delay of an entry's second write, and so of later ones. Flows
	// of many nodes may begin in the same moment, for example when a policy changes.
	spread = 10 * time.Second

	// endedAfter is the shortest silence after which a flow counts as ended.
	endedAfter = 10 * time.Second

	// An entry whose write failed waits firstRetry, which doubles up to the limit.
	firstRetry = time.Second
	maxRetry   = 8 * time.Second

	// forgetAfter is how long an entry with nothing to write is kept. It may be forgotten
	// at any time, because its object is adopted when the flow comes again.
	forgetAfter = time.Hour
)

// nextInterval returns the time to wait after a write. interval is the time between that
// write and the one before; 0 stands for the first write.
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

// dueAt returns when an entry with something to write should be written: after its
// interval, or earlier if the flow has ended. The silence that counts as the end grows with
// the interval, so that a flow with pauses is not written at each pause.
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

// lateness returns the delay of an entry's second write. It depends on the name of the
// object, and so on the node.
func lateness(name string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // writing to a hash cannot fail
	return spread * time.Duration(h.Sum32()%1024) / 1024
}

// retryAfter returns how long an entry waits after its n-th failure in a row, from 1.
func retryAfter(n int) time.Duration {
	wait := firstRetry
	for ; n > 1 && wait < maxRetry; n-- {
		wait *= 2
	}
	return min(wait, maxRetry)
}
