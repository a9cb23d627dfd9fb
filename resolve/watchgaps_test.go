package resolve

import (
	"testing"
	"time"
)

// TestContact checks what proves that nothing is missing, and what does not.
func TestContact(t *testing.T) {
	const s = int64(time.Second)
	opened := func() watchGaps {
		c := newWatchGaps(2*s, 300*s)
		c.listing(0)
		c.listed()
		c.opened()
		return c
	}
	tests := map[string]struct {
		happens func(c *watchGaps)
		known   int64
	}{
		"a watch that is answered proves nothing": {func(*watchGaps) {}, never},
		"nor its first change":                    {func(c *watchGaps) { c.heard(5 * s) }, never},
		"nor a 410 after the 200":                 {func(c *watchGaps) { c.closed(); c.marked(5 * s) }, never},
		"a bookmark does":                         {func(c *watchGaps) { c.marked(5 * s) }, 5 * s},
		"so do changes soon after":                {func(c *watchGaps) { c.marked(5 * s); c.heard(7 * s) }, 7 * s},
		"but not after a silence":                 {func(c *watchGaps) { c.marked(5 * s); c.heard(8 * s); c.heard(9 * s) }, 5 * s},
		"a probe does": {func(c *watchGaps) {
			stream, _ := c.probing()
			c.probed(stream, 4*s)
		}, 4 * s},
		"but not of another watch": {func(c *watchGaps) {
			stream, _ := c.probing()
			c.closed()
			c.opened()
			c.probed(stream, 4*s)
		}, never},
		"nor across a step of the clock": {func(c *watchGaps) {
			stream, _ := c.probing()
			c.step(5*s, 5*s, 100*s)
			c.probed(stream, 4*s)
		}, never},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := opened()
			tt.happens(&c)
			if c.known != tt.known {
				t.Errorf("known up to %d, want %d", c.known, tt.known)
			}
		})
	}
}

// TestClockStep checks that a step of the wall clock makes nothing wait longer. If a packet
// seems to come from the future, there is nothing to wait for.
func TestClockStep(t *testing.T) {
	r := newResolver(t, Config{}, madePod("a", "10.0.0.5"))
	now := r.clock.last
	r.clock.look = func() reading { return now }
	seen := time.Unix(0, now.wall)
	if got := r.Lookup(addr("10.0.0.5"), seen); got.Kind != Pod {
		t.Fatalf("before the step: %+v, want the pod", got)
	}
	now.wall -= int64(30 * time.Second)
	if got := r.Lookup(addr("10.0.0.5"), seen); !got.Ambiguous {
		t.Errorf("a drop from before the step: %+v, want ambiguous", got)
	}
	if waits(r, "10.0.0.5", seen) || waits(r, "10.0.0.6", seen) {
		t.Error("a flow from before the step waits")
	}
	now.wall += int64(10 * time.Minute)
	now.steady += int64(10 * time.Minute)
	proven(r.history, now.wall)
	if got := r.Lookup(addr("10.0.0.5"), time.Unix(0, now.wall)); got.Kind != Pod {
		t.Errorf("after the step: %+v, want the pod", got)
	}
}
