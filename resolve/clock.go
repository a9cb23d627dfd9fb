package resolve

import (
	"sync"
	"time"
)

// reading is one look at both clocks, in nanoseconds. Packets and Kubernetes'
// time stamps have wall-clock times, which an administrator or NTP may set to
// anything. How long something lasts is measured by the steady clock.
type reading struct {
	wall   int64 // Unix
	steady int64 // since the start of this process; it never steps
}

// clock reads the clocks, and notices when the wall clock steps.
type clock struct {
	look func() reading
	// tolerance is the largest step that is not one, in nanoseconds.
	tolerance int64
	// stepped is told of a step: the wall clock's time now, the time that it
	// would have shown at the look before, and by how much it went ahead.
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

// now is the wall clock's time. A step is told before it returns.
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

// wall is the wall clock's time, for callers that may not be told of a step.
func (c *clock) wall() int64 { return c.look().wall }

// steady is the steady clock's time.
func (c *clock) steady() int64 { return c.look().steady }
