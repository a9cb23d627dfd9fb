package event

import (
	"slices"
	"testing"
	"time"
)

// crippledLimiter is an adaptiveLimiter of which one mechanism is switched off.
type crippledLimiter struct {
	*adaptiveLimiter
	without string
}

func (l *crippledLimiter) inFlight(limit int, now time.Time) int {
	switch {
	case l.without == "calls in flight" && !l.probing(now):
		return limit
	case l.without == "probe" && l.probing(now):
		return max(1, int(float64(limit)*l.rate/l.max))
	}
	return l.adaptiveLimiter.inFlight(limit, now)
}

func (l *crippledLimiter) wait(now time.Time) time.Duration {
	if l.without == "probe" && l.probing(now) {
		l.skipJitter(now)
	}
	return l.adaptiveLimiter.wait(now)
}

func (l *crippledLimiter) succeeded(started, now time.Time) {
	switch l.without {
	case "probe", "late probes":
		l.baseline = time.Hour
	case "baseline":
		l.baseline = 0
	}
	l.adaptiveLimiter.succeeded(started, now)
	switch l.without {
	case "slow growth":
		l.crowded = false
	case "start after backing off":
		l.startAt = time.Time{}
	}
}

func (l *crippledLimiter) failed(started, now time.Time, overloaded bool, pause time.Duration) {
	if l.without == "Retry-After" && overloaded {
		pause = 0
	}
	before := l.rate
	l.adaptiveLimiter.failed(started, now, overloaded, pause)
	switch l.without {
	case "halving":
		l.setRate(now, before)
	case "threshold":
		l.threshold = l.max
	case "fast growth":
		l.threshold = 0
	case "return":
		l.away = false
	}
}

// BenchmarkCrowd prints how simulated crowds fare, with each mechanism of the
// limiter switched off in turn. The time is virtual, and the figures are the same
// on every machine.
func BenchmarkCrowd(b *testing.B) {
	for _, c := range crowdCases() {
		for _, off := range []string{
			"nothing", "halving", "Retry-After", "calls in flight", "probe", "late probes", "slow growth",
			"start after backing off", "baseline", "threshold", "fast growth", "return",
		} {
			b.Run(c.name+"/without="+off, func(b *testing.B) {
				for b.Loop() {
					runCrowd(b, c, newCrippled(off)).report(b)
				}
			})
		}
	}
}

func newCrippled(without string) func(random func() float64) crowdLimiter {
	return func(random func() float64) crowdLimiter {
		l := newAdaptiveLimiter(50, 100)
		l.random = random
		return &crippledLimiter{l, without}
	}
}

// report prints the figures of a crowd as a benchmark's.
func (s *crowd) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // the time is virtual
	b.ReportMetric(float64(s.calls), "calls")
	b.ReportMetric(float64(s.throttled), "429s")
	b.ReportMetric(s.now.Seconds(), "s-all-written")
	b.ReportMetric(quantileOf(s.firsts, 1).Seconds(), "s-slowest-agent")
	b.ReportMetric(quantileOf(s.writes, 0.5).Seconds(), "s-write-p50")
	b.ReportMetric(float64(quantileOf(s.others, 0.9).Milliseconds()), "ms-other-p90")
}

// quantileOf returns a quantile of unsorted durations.
func quantileOf(all []time.Duration, q float64) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[int(q*float64(len(all)-1))]
}

func crowdCaseOf(tb testing.TB, name string) crowdCase {
	tb.Helper()
	for _, c := range crowdCases() {
		if c.name == name {
			return c
		}
	}
	tb.Fatalf("no such crowd: %s", name)
	return crowdCase{}
}

// TestCrowd checks that agents which all begin in one moment, each knowing
// nothing but its own calls, soon leave the server time for others, that none of
// them starves, and that an agent alone does not wait for a crowd.
func TestCrowd(t *testing.T) {
	s := runCrowd(t, crowdCaseOf(t, "storm"), newCrippled("nothing"))
	if slowest := quantileOf(s.firsts, 1); slowest > 2500*time.Millisecond {
		t.Errorf("the slowest agent's first write is made after %v, want 2.5 s", slowest)
	}
	if s.now > 25*time.Second {
		t.Errorf("all is written after %v, want 25 s", s.now)
	}
	if took := runCrowd(t, crowdCaseOf(t, "alone"), newCrippled("nothing")).now; took > 6*time.Second {
		t.Errorf("one agent's 200 writes take %v, want 6 s", took)
	}
}

// TestCrowdNeedsEachMechanism checks that a crowd does well because of each of
// the limiter's mechanisms: what does not matter is not to come back.
func TestCrowdNeedsEachMechanism(t *testing.T) {
	refusals := func(s *crowd) int { return s.throttled }
	ended := func(s *crowd) int { return int(s.now.Seconds()) }
	others := func(s *crowd) int { return int(quantileOf(s.others, 0.9).Milliseconds()) }
	median := func(s *crowd) int { return int(quantileOf(s.writes, 0.5).Seconds()) }
	for _, tt := range []struct {
		mechanism, crowd, what string
		figure                 func(s *crowd) int
		limit                  int
	}{
		{"halving", "slow-server", "429s", refusals, 1000},
		{"Retry-After", "429-retry-after", "429s", refusals, 3000},
		{"calls in flight", "slow-server", "429s", refusals, 1000},
		{"probe", "storm", "429s", refusals, 200},
		{"late probes", "storm", "ms for another client's call, p90", others, 20},
		{"slow growth", "storm", "ms for another client's call, p90", others, 20},
		{"start after backing off", "storm", "ms for another client's call, p90", others, 20},
		{"baseline", "alone-far-bursts", "s until a write is made, p50", median, 5},
		{"threshold", "429-retry-after", "429s", refusals, 3000},
		{"fast growth", "outage-alone", "s until all is written", ended, 75},
		{"return", "outage-alone-slow-return", "s until all is written", ended, 75},
	} {
		c := crowdCaseOf(t, tt.crowd)
		if got := tt.figure(runCrowd(t, c, newCrippled("nothing"))); got > tt.limit {
			t.Errorf("%s: %d %s, want at most %d", tt.crowd, got, tt.what, tt.limit)
		}
		if got := tt.figure(runCrowd(t, c, newCrippled(tt.mechanism))); got <= tt.limit {
			t.Errorf("%s without %s: %d %s, as good as with it", tt.crowd, tt.mechanism, got, tt.what)
		}
	}
}
