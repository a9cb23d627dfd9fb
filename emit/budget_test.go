package emit

import (
	"testing"
	"time"
)

// fullBudget returns a budget that has grown to its full rate.
func fullBudget(full float64, burst int) *budget {
	b := newBudget(full, burst)
	for now := start.Add(-time.Hour); b.rate < full; now = now.Add(time.Second) {
		b.succeeded(now, now)
	}
	return b
}

func TestBudgetStartsSlowly(t *testing.T) {
	b := newBudget(40, 80)
	if b.rate != 4 || b.inFlight(4) != 1 {
		t.Errorf("it starts at %v/s with %d in flight, want 4 and 1", b.rate, b.inFlight(4))
	}
	b = fullBudget(40, 80)
	if b.rate != 40 || b.inFlight(4) != 4 {
		t.Errorf("it ends at %v/s with %d in flight, want 40 and 4", b.rate, b.inFlight(4))
	}
}

func TestBudgetHalvesAndGrows(t *testing.T) {
	b := fullBudget(40, 80)
	now := start
	fail := func(pause time.Duration) {
		now = now.Add(time.Millisecond)
		b.failed(now, now, false, pause)
	}
	fail(0)
	if b.rate != 20 {
		t.Errorf("after one failure the rate is %v, want 20", b.rate)
	}
	// A call that was under way with the one that failed tells nothing new.
	b.failed(now.Add(-time.Second), now, false, 0)
	if b.rate != 20 {
		t.Errorf("after two failures of one moment the rate is %v, want 20", b.rate)
	}
	for range 20 {
		fail(0)
	}
	if b.rate != minRate {
		t.Errorf("after an outage the rate is %v, want %v", b.rate, minRate)
	}
	for range 3 {
		now = now.Add(time.Second)
		b.succeeded(now, now)
	}
	if b.rate != 40 {
		t.Errorf("three seconds after the return the rate is %v, want 40", b.rate)
	}
	for b.wait(now) == 0 {
		b.spend(now)
	}
	fail(7 * time.Second)
	if got := b.wait(now); got < 7*time.Second || got > 7*time.Second*3/2 {
		t.Errorf("with Retry-After 7 the wait is %v", got)
	}
	fail(24 * time.Hour)
	if got := b.wait(now); got < maxPause || got > maxPause*3/2 {
		t.Errorf("with Retry-After of a day the wait is %v, want %v", got, maxPause)
	}
}

func TestBudgetYieldsToASlowServer(t *testing.T) {
	b := fullBudget(40, 80)
	now := start
	for range 20 {
		started := now
		now = now.Add(3 * time.Second)
		b.succeeded(started, now)
	}
	if want := 40 * slowShare; b.rate != want {
		t.Errorf("with answers after 3 s the rate is %v, want %v", b.rate, want)
	}
}

func TestBudgetNeverExceedsItsRate(t *testing.T) {
	b := fullBudget(10, 20)
	calls := 0
	for now := start; now.Before(start.Add(10 * time.Second)); {
		w := b.wait(now)
		if w == 0 {
			b.spend(now)
			b.succeeded(now, now)
			calls++
		}
		now = now.Add(w)
	}
	if calls < 119 || calls > 120 {
		t.Errorf("%d calls in 10 s, want the burst of 20 and 10 a second", calls)
	}
}

func TestBudgetGrowsSlowlyFromWhereItWasThrottled(t *testing.T) {
	b := fullBudget(40, 80)
	b.failed(start, start, true, 0)
	now := start
	for range 5 {
		now = now.Add(time.Second)
		b.succeeded(now, now)
	}
	if b.rate != 30 {
		t.Errorf("5 s after being throttled at 40 the rate is %v, want 20 and 2 more each second", b.rate)
	}
}
