package nflog

import (
	"testing"
	"time"
)

// TestCoalescer records datagrams, full and not, and then asks how to wait.
func TestCoalescer(t *testing.T) {
	const full, part = fullDatagram, fullDatagram - 1
	many := func(n int) (all []int) {
		for range n {
			all = append(all, full)
		}
		return all
	}
	tests := []struct {
		name     string
		received []int
		want     time.Duration
	}{
		{"nothing yet", nil, 0},
		{"a lone packet", []int{200}, 0},
		{"one full", many(1), maxPause},
		{"as many as in the pause before would do", many(perPause), maxPause},
		{"twice as many", many(2 * perPause), maxPause / 2},
		{"as many as wanted", many(perPause), maxPause / 2},
		{"a flood of any size", many(1000), minPause},
		{"slower again", many(2), 4 * minPause},
		{"slow", many(1), maxPause},
		{"a small one among them", []int{full, part, full}, 0},
		{"full again", many(3), maxPause},
		{"the flood is over", nil, 0},
	}
	var c coalescer
	for _, tt := range tests {
		for _, n := range tt.received {
			c.received(n)
		}
		if got := c.pause(); got != tt.want {
			t.Errorf("%s: a pause of %v, want %v", tt.name, got, tt.want)
		}
	}
}
