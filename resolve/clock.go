package resolve

import (
	"sync"
	"time"
)

// reading is one reading of both clocks, in nanoseconds. Packets and Kubernetes' time
// stamps have wall-clock times, which an administrator or NTP may set to anything. The
// steady clock measures durations.
type reading struct {
	wall   int64 // Unix
	steady int64 // since the start of this process; it never steps
}

// clock reads both clocks and detects steps of the wall clock.
type clock struct {
	look func() reading
	// tolerance is the largest difference that does not count as a step, in nanoseconds.
	tolerance int64
	// stepped is called after a step, with the wall clock's time now, the time that it
	// would have shown at the previous reading, and by how much it went forward.
	stepped func(now, before, by int64)

	mu     sync.Mutex // guards what follows
	last   reading
	offset int64 // wall - steady since the last step
}

func newClock(now func() time.Time, tolerance time.Duration, stepped func(now, before, by int64)) *clock {
	began := now()
	look := func() reading {
		t := now()
		return reading{wall: t.UnixNano(), steady: int64(t.Sub(began))}
	}
	return &clock{look: look, tolerance: int64(tolerance), stepped: stepped, last: look(), offset: began.UnixNano()}
}

// now returns the wall clock's time. If the clock has stepped, it calls stepped first.
func (c *clock) now() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.look()
	by := r.wall - r.steady - c.offset
	if by > c.tolerance || -by > c.tolerance {
		c.offset += by
		c.stepped(r.wall, r.wall-(r.steady-c.last.steady), by)
	}
	c.last = r
	return r.wall
}

// wall returns the wall clock's time, for callers for which stepped must not be called.
func (c *clock) wall() int64 { return c.look().wall }

// steady returns the steady clock's time.
func (c *clock) steady() int64 { return c.look().steady }
