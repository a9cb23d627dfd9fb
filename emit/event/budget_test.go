package event

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// fullBudget returns a budget that has grown to its full rate.
func fullBudget(full float64, burst int) *budget {
	b := newBudget(full, burst)
	b.random = func() float64 { return 0 }
	for now := start.Add(-time.Hour); b.rate < full; now = now.Add(time.Second) {
		b.succeeded(now, now)
	}
	return b
}

func TestBudgetStartsSlowly(t *testing.T) {
	b := newBudget(40, 80)
	if b.rate != 4 || b.inFlight(4, start) != 1 {
		t.Errorf("it starts at %v/s with %d in flight, want 4 and 1", b.rate, b.inFlight(4, start))
	}
	b = fullBudget(40, 80)
	if now := start.Add(-time.Hour).Add(probeAfter); b.rate != 40 || b.inFlight(4, now) != 4 {
		t.Errorf("it ends at %v/s with %d in flight, want 40 and 4", b.rate, b.inFlight(4, now))
	}
}

// TestBudgetProbesAfterSilence holds that a budget, however large, sends one
// call ahead when it has not heard of the server for long, at a random moment.
func TestBudgetProbesAfterSilence(t *testing.T) {
	b := fullBudget(40, 80)
	b.random = func() float64 { return 0.5 }
	if got := b.inFlight(4, start); got != 1 {
		t.Errorf("after an hour %d calls may be in flight, want 1", got)
	}
	if got := b.wait(start); got != probeSpread/2 {
		t.Errorf("the probe waits %v, want %v", got, probeSpread/2)
	}
	now := start.Add(probeSpread / 2)
	if got := b.wait(now); got != 0 {
		t.Errorf("at its moment the probe waits %v", got)
	}
	b.spend(now)
	b.succeeded(now, now.Add(quickCall))
	now = now.Add(quickCall)
	if got := b.inFlight(4, now); got != 4 || b.wait(now) != 0 {
		t.Errorf("after a quick answer %d calls may be in flight, in %v; want 4 at once", got, b.wait(now))
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

// TestBudgetYieldsToACrowd holds that late answers make a budget give way
// before the server throttles, the later the more, and grow little with each
// quick one afterwards.
func TestBudgetYieldsToACrowd(t *testing.T) {
	for _, tt := range []struct {
		took   time.Duration
		failed time.Time
		want   float64 // calls per second
	}{
		{took: quickCall, want: 40},
		{took: quickCall + time.Millisecond, want: lateShare / (0.051 + probeSpread.Seconds())},
		{took: 450 * time.Millisecond, want: 0.25},
		{took: 3 * time.Second, want: tiredRate},
		{took: 200 * time.Millisecond, failed: start.Add(-time.Second), want: 1.25},
		{took: 3 * time.Second, failed: start.Add(-time.Second), want: minRate},
	} {
		b := fullBudget(40, 80)
		b.failure = tt.failed
		now := start.Add(tt.took)
		b.succeeded(start, now)
		if math.Abs(b.rate-tt.want) > 1e-9 {
			t.Errorf("after an answer that took %v the rate is %v, want %v", tt.took, b.rate, tt.want)
		}
		if tt.want == 40 {
			continue
		}
		if got, want := b.wait(now).Seconds(), 0.5/tt.want; got < want-0.001 || got > want+0.001 {
			t.Errorf("after an answer that took %v the next call waits %v s, want %v", tt.took, got, want)
		}
		b.succeeded(now, now.Add(time.Second/1000))
		b.succeeded(now, now.Add(time.Second))
		if most := tt.want * (1 + b.growth) * (1 + b.growth); b.rate > most {
			t.Errorf("after two quick answers the rate is %v, want at most %v", b.rate, most)
		}
	}
}

// TestBudgetLearnsWhatIsUsual holds that a server which always takes its time,
// being far, gets the full rate in the end.
func TestBudgetLearnsWhatIsUsual(t *testing.T) {
	b := fullBudget(40, 80)
	now := start
	calls := 0
	for ; b.rate < 40 || calls == 0; calls++ {
		started := now.Add(b.wait(now))
		now = started.Add(400 * time.Millisecond)
		b.succeeded(started, now)
		if calls > 100 {
			t.Fatalf("after 100 calls of 400 ms the rate is %v", b.rate)
		}
	}
	if took := now.Sub(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

// TestBudgetBearsASlowServer has a server become slow soon after the first call.
func TestBudgetBearsASlowServer(t *testing.T) {
	b := newBudget(50, 100)
	b.random = func() float64 { return 0.5 }
	b.succeeded(start, start.Add(time.Millisecond))
	now := start.Add(time.Second)
	for range 20 {
		started := now.Add(b.wait(now))
		b.spend(started)
		now = started.Add(700 * time.Millisecond)
		b.succeeded(started, now)
	}
	if took := now.Sub(start); took > 45*time.Second {
		t.Errorf("20 calls that take 700 ms each are made in %v, want 45 s", took)
	} else {
		t.Log(took)
	}
}

// TestBudgetBearsAnUnevenServer holds that slow answers among quick ones do not
// count as a crowd's: a webhook may be on creations alone, an answer now and
// then may wait for a disk.
func TestBudgetBearsAnUnevenServer(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	every := func(n int) func(int) bool { return func(call int) bool { return call%n == n-1 } }
	for name, tt := range map[string]struct {
		slow func(call int) bool
		held time.Duration // at most, of ten minutes
	}{
		"1 in 2":            {every(2), 5 * time.Minute},
		"3 in 4":            {func(call int) bool { return call%4 != 0 }, 5 * time.Minute},
		"1 in 10":           {every(10), 0},
		"1 in 100":          {every(100), 0},
		"1 in 10 at random": {func(int) bool { return rnd.IntN(10) == 0 }, 30 * time.Second},
	} {
		b := fullBudget(40, 80)
		b.random = rnd.Float64
		now, held := start, time.Duration(0)
		for call := 0; now.Before(start.Add(20 * time.Minute)); call++ {
			took := 25 * time.Millisecond // as the full rate has it
			if tt.slow(call) {
				took = 300 * time.Millisecond
			}
			wait := b.wait(now)
			started := now.Add(wait)
			b.spend(started)
			now = started.Add(took)
			b.succeeded(started, now)
			if now.After(start.Add(10 * time.Minute)) {
				held += wait
			}
		}
		if held > tt.held {
			t.Errorf("slow are %s: of ten minutes, calls were held back for %v, want at most %v", name, held, tt.held)
		}
	}
}

// TestBudgetFlushesBesideLateAnswers holds that late answers do not count as
// failures, which would keep the last writes from being made without a budget.
func TestBudgetFlushesBesideLateAnswers(t *testing.T) {
	b := fullBudget(40, 80)
	now := start.Add(time.Second)
	b.succeeded(start, now)
	if b.tired(now) || b.paused.After(now) {
		t.Errorf("after a late answer: tired %t, paused until %v", b.tired(now), b.paused)
	}
	b.failed(now, now, true, 0)
	if !b.tired(now) {
		t.Error("after a refusal the server does not count as tired")
	}
}

// TestBudgetCountsRefusalsTogetherOnce has calls refused that were under way at
// the same time, with the longest Retry-After.
func TestBudgetCountsRefusalsTogetherOnce(t *testing.T) {
	b := fullBudget(40, 80)
	b.random = func() float64 { return 1 }
	for range 4 {
		b.failed(start, start.Add(time.Second), true, time.Hour)
	}
	if b.spread != 2*pauseSpread {
		t.Errorf("the spread is %v, want %v", b.spread, 2*pauseSpread)
	}
	b.spread = maxSpread
	now := start.Add(time.Hour)
	b.failed(now, now, true, time.Hour)
	if got := b.paused.Sub(now); got != 2*maxPause {
		t.Errorf("the pause is %v, want %v", got, 2*maxPause)
	}
}

// TestBudgetOfATiredServer holds that an agent leaves a server that answers, or
// does not in time, more peace than one that is away.
func TestBudgetOfATiredServer(t *testing.T) {
	for overloaded, want := range map[bool]float64{true: tiredRate, false: minRate} {
		b := fullBudget(40, 80)
		for now := start; now.Before(start.Add(time.Minute)); now = now.Add(time.Second) {
			b.failed(now, now, overloaded, 0)
		}
		if b.rate != want {
			t.Errorf("overloaded %t: after a minute of failures the rate is %v, want %v", overloaded, b.rate, want)
		}
	}
}

func TestBudgetSpreadsRefusals(t *testing.T) {
	b := fullBudget(40, 80)
	b.random = func() float64 { return 1 }
	now := start
	for _, want := range []float64{1.5, 2, 3, 5, 9, 9} {
		now = now.Add(time.Minute)
		b.paused = time.Time{}
		b.failed(now, now, true, time.Second)
		if got := b.paused.Sub(now).Seconds(); got != want {
			t.Errorf("with Retry-After 1 the pause is up to %v s, want %v", got, want)
		}
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
