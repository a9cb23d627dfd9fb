package event

import (
	"sync/atomic"
	"time"
)

// pulses tell the goroutines of Run that work from one that is stuck: each
// notes when its step under way began.
type watchdog []atomic.Int64 // Unix nanoseconds, 0 between steps

func (w watchdog) begin(i int, now time.Time) { w[i].Store(now.UnixNano()) }

func (w watchdog) end(i int) { w[i].Store(0) }

// longest returns how long the step takes that is longest under way.
func (w watchdog) longest(now time.Time) time.Duration {
	longest := time.Duration(0)
	for i := range w {
		if began := w[i].Load(); began != 0 {
			longest = max(longest, time.Duration(now.UnixNano()-began))
		}
	}
	return longest
}

// BusyFor returns how long the longest step under way has taken: a call, which
// has a deadline of its own, or choosing the next one. Much longer than
// Config.CallTimeout, and the emitter is stuck. It may be called concurrently
// with everything.
func (s *Sink) BusyFor(now time.Time) time.Duration { return s.watchdog.longest(now) }
