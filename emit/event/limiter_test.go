package event

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// newTestLimiter returns a limiter whose last call has just succeeded, and for
// which random numbers are 0.
func newTestLimiter(maxRate float64, burst int) *adaptiveLimiter {
	l := newAdaptiveLimiter(maxRate, burst)
	l.random = func() float64 { return 0 }
	l.succeeded(start, start)
	return l
}

// TestLimiterProbesAfterSilence checks that a limiter sends one call first when
// no call has succeeded for long, at a random moment.
func TestLimiterProbesAfterSilence(t *testing.T) {
	l := newTestLimiter(40, 80)
	l.random = func() float64 { return 0.5 }
	now := start.Add(time.Hour)
	if got := l.inFlight(4, now); got != 1 {
		t.Errorf("after an hour %d calls may be in flight, want 1", got)
	}
	if got := l.wait(now); got != startJitter/2 {
		t.Errorf("the probe waits %v, want %v", got, startJitter/2)
	}
	now = now.Add(startJitter / 2)
	if got := l.wait(now); got != 0 {
		t.Errorf("at its moment the probe waits %v", got)
	}
	l.spend(now)
	l.succeeded(now, now.Add(quickAnswer))
	now = now.Add(quickAnswer)
	if got := l.inFlight(4, now); got != 4 || l.wait(now) != 0 {
		t.Errorf("after a quick answer %d calls may be in flight, in %v; want 4 at once", got, l.wait(now))
	}
}

// TestLimiterProbesUntilOneSucceeds checks that a refused probe is followed by
// another one.
func TestLimiterProbesUntilOneSucceeds(t *testing.T) {
	l := newTestLimiter(40, 80)
	now := start.Add(time.Minute)
	for range 3 {
		now = now.Add(l.wait(now))
		l.spend(now)
		l.failed(now, now, true, time.Second)
		if got := l.inFlight(4, now); got != 1 {
			t.Fatalf("after a refused probe %d calls may be in flight, want 1", got)
		}
	}
}

// TestLimiterJitterIsNew checks that each silence has a jitter of its own, also
// after a late probe with nothing to write behind it.
func TestLimiterJitterIsNew(t *testing.T) {
	l := newTestLimiter(40, 80)
	now := start.Add(time.Minute)
	l.spend(now)
	l.succeeded(now, now.Add(time.Second))
	l.random = func() float64 { return 0.5 }
	if got := l.wait(now.Add(time.Hour)); got != startJitter/2 {
		t.Errorf("the probe after the next silence waits %v, want %v", got, startJitter/2)
	}
}

// TestLimiterBearsAClockThatJumps sets the clock an hour forward for one call.
func TestLimiterBearsAClockThatJumps(t *testing.T) {
	l := newTestLimiter(40, 80)
	l.random = func() float64 { return 0.5 }
	l.failed(start, start, true, 0)
	for _, now := range []time.Time{start.Add(time.Hour), start.Add(time.Second)} {
		now = now.Add(l.wait(now))
		if now.After(start.Add(2 * time.Hour)) {
			t.Fatalf("a call starts at %v", now)
		}
		l.spend(now)
		l.succeeded(now, now)
	}
	if wait := l.wait(start.Add(2 * time.Second)); wait > 0 || l.rate < 20 {
		t.Errorf("when the clock is back, the next call waits %v, at a rate of %v", wait, l.rate)
	}
}

func TestLimiterHalvesAndGrows(t *testing.T) {
	l := newTestLimiter(40, 80)
	now := start.Add(time.Second)
	l.failed(now, now, true, 0)
	if l.rate != 20 {
		t.Errorf("after one failure the rate is %v, want 20", l.rate)
	}
	// A call that was in flight with the one that failed tells nothing new.
	l.failed(now.Add(-time.Second), now, true, 0)
	if l.rate != 20 {
		t.Errorf("after two failures of one moment the rate is %v, want 20", l.rate)
	}
	for range 5 {
		now = now.Add(time.Second)
		l.succeeded(now, now)
	}
	if l.rate != 30 {
		t.Errorf("after 5 s of success the rate is %v, want 20 and 2 more each second", l.rate)
	}
	for range 20 {
		now = now.Add(time.Second)
		l.failed(now, now, true, 0)
	}
	if l.rate != minRate || l.inFlight(4, now) != 1 {
		t.Errorf("after 20 failures the rate is %v with %d calls in flight, want %v and 1", l.rate, l.inFlight(4, now), minRate)
	}
}

// TestLimiterReturnsFast checks that an agent tries now and then while the API
// server is not reached, and catches up at once when it is back, also if it is
// slow at first.
func TestLimiterReturnsFast(t *testing.T) {
	l := newTestLimiter(40, 80)
	now := start
	for range 50 {
		now = now.Add(l.wait(now))
		l.spend(now)
		l.failed(now, now, false, 0)
	}
	if l.rate != awayRate {
		t.Errorf("after 50 failures the rate is %v, want %v", l.rate, awayRate)
	}
	for range 4 {
		l.succeeded(now, now.Add(time.Second))
		now = now.Add(time.Second)
	}
	if l.rate != 40 {
		t.Errorf("4 s after the API server is back the rate is %v, want 40", l.rate)
	}
}

// TestLimiterKeepsRetryAfter checks that calls which are refused together wait
// for the longest Retry-After, with jitter and a bound.
func TestLimiterKeepsRetryAfter(t *testing.T) {
	l := newTestLimiter(40, 80)
	l.random = func() float64 { return 1 }
	now := start.Add(time.Second)
	for _, tt := range []struct{ retryAfter, want time.Duration }{
		{time.Second, 1500 * time.Millisecond},
		{10 * time.Second, 15 * time.Second},
		{2 * time.Second, 15 * time.Second},
		{24 * time.Hour, maxPause * 3 / 2},
	} {
		l.failed(start, now, true, tt.retryAfter)
		if got := l.pause(now); got != tt.want {
			t.Errorf("with Retry-After %v the pause is %v, want %v", tt.retryAfter, got, tt.want)
		}
	}
}

// TestLimiterBacksOff checks that a late probe lowers the rate before the API
// server throttles, the later the more, and that the rate then grows slowly.
func TestLimiterBacksOff(t *testing.T) {
	for _, tt := range []struct {
		took time.Duration
		want float64 // calls per second
	}{
		{took: quickAnswer, want: 40},
		{took: quickAnswer + time.Millisecond, want: crowdShare / (0.051 + startJitter.Seconds())},
		{took: 450 * time.Millisecond, want: 0.25},
		{took: 3 * time.Second, want: minRate},
	} {
		l := newTestLimiter(40, 80)
		started := start.Add(time.Minute)
		now := started.Add(tt.took)
		l.succeeded(started, now)
		if math.Abs(l.rate-tt.want) > 1e-9 {
			t.Errorf("after a probe that took %v the rate is %v, want %v", tt.took, l.rate, tt.want)
		}
		if tt.want == 40 {
			continue
		}
		if got, want := l.wait(now).Seconds(), 0.5/tt.want; math.Abs(got-want) > 0.001 {
			t.Errorf("after a probe that took %v the next call waits %v s, want %v", tt.took, got, want)
		}
		for range 2 {
			now = now.Add(time.Second)
			l.succeeded(now, now.Add(time.Millisecond))
		}
		if most := tt.want * (1 + crowdGrowth) * (1 + crowdGrowth); l.rate > most {
			t.Errorf("after two quick answers the rate is %v, want at most %v", l.rate, most)
		}
	}
}

// TestLimiterLearnsTheBaseline checks that an API server which is far away does
// not look like a crowd for long.
func TestLimiterLearnsTheBaseline(t *testing.T) {
	l := newTestLimiter(40, 80)
	now := start.Add(time.Minute)
	for calls := 0; calls == 0 || l.rate < 40; calls++ {
		started := now.Add(l.wait(now))
		l.spend(started)
		now = started.Add(400 * time.Millisecond)
		l.succeeded(started, now)
		if calls > 100 {
			t.Fatalf("after 100 calls of 400 ms the rate is %v", l.rate)
		}
	}
	if took := now.Sub(start.Add(time.Minute)); took > time.Minute {
		t.Errorf("it takes %v to the full rate", took)
	}
	now = now.Add(time.Minute)
	l.succeeded(now, now.Add(400*time.Millisecond))
	if l.rate != 40 {
		t.Errorf("after the next silence the rate is %v, want 40", l.rate)
	}
}

// TestLimiterBearsAnUnevenServer checks that slow answers among quick ones hold
// nothing back: a webhook may be on creations alone, and an answer may wait for a
// disk now and then.
func TestLimiterBearsAnUnevenServer(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, oneIn := range []int{2, 10, 100} {
		l := newTestLimiter(40, 80)
		now := start
		for now.Before(start.Add(10 * time.Minute)) {
			started := now
			took := 25 * time.Millisecond // as the full rate has it
			if random.IntN(oneIn) == 0 {
				took = 300 * time.Millisecond
			}
			l.spend(started)
			now = started.Add(took)
			l.succeeded(started, now)
			if wait := l.wait(now); wait > 0 {
				t.Fatalf("1 answer in %d is slow: after %v calls are held back for %v", oneIn, now.Sub(start), wait)
			}
		}
	}
}

// TestLimiterOverloaded checks that a late answer does not count as a failure,
// which would keep the last writes within the limits.
func TestLimiterOverloaded(t *testing.T) {
	l := newTestLimiter(40, 80)
	started := start.Add(time.Minute)
	now := started.Add(time.Second)
	l.succeeded(started, now)
	if l.overloaded(now) || l.pause(now) > 0 {
		t.Errorf("after a late answer: overloaded %t, a pause of %v", l.overloaded(now), l.pause(now))
	}
	l.failed(now, now, true, 0)
	if !l.overloaded(now) {
		t.Error("after a refusal the API server does not count as overloaded")
	}
}

func TestLimiterNeverExceedsItsRate(t *testing.T) {
	l := newTestLimiter(10, 20)
	calls := 0
	for now := start; now.Before(start.Add(10 * time.Second)); {
		w := l.wait(now)
		if w == 0 {
			l.spend(now)
			l.succeeded(now, now)
			calls++
		}
		now = now.Add(w)
	}
	if calls < 119 || calls > 120 {
		t.Errorf("%d calls in 10 s, want the burst of 20 and 10 a second", calls)
	}
}

// TestLimiterKeepsALowRate checks that no failure raises a rate that is
// configured to be low.
func TestLimiterKeepsALowRate(t *testing.T) {
	l := newTestLimiter(0.1, 1)
	l.failed(start, start.Add(time.Second), true, 0)
	if l.rate != 0.1 {
		t.Errorf("the rate is %v, want 0.1", l.rate)
	}
}
