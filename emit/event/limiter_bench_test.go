package event

import (
	"testing"
	"time"
)

// BenchmarkCrowd prints how a simulated crowd fares with the limiter, and with
// each of its mechanisms switched off in turn.
func BenchmarkCrowd(b *testing.B) {
	for _, c := range crowdCases() {
		for _, off := range []string{
			"nothing", "slow start", "calls in flight", "silence", "late answers", "doubt", "late after an outage", "crowd growth",
			"usual times", "no later than before", "slow growth", "two floors", "doubling spread",
		} {
			b.Run(c.name+"/without="+off, func(b *testing.B) {
				for b.Loop() {
					runCrowd(b, c, func(random func() float64) crowdLimiter {
						l := newBudget(50, 100)
						l.random = random
						l.switchOff(off)
						return l
					}).report(b)
				}
			})
		}
	}
}

// TestCrowd holds that agents which all begin in one moment, each knowing
// nothing but its own calls, soon leave the server time for others, that none of
// them starves, and that an agent alone does not wait for a crowd.
func TestCrowd(t *testing.T) {
	run := func(name string) *crowd {
		for _, c := range crowdCases() {
			if c.name == name {
				return runCrowd(t, c, func(random func() float64) crowdLimiter {
					l := newBudget(50, 100)
					l.random = random
					return l
				})
			}
		}
		t.Fatalf("no such case: %s", name)
		return nil
	}
	s := run("storm")
	if slowest := quantileOf(s.firsts, 1); slowest > 2500*time.Millisecond {
		t.Errorf("the slowest agent's first write is made after %v, want 2.5 s", slowest)
	}
	if s.now > 25*time.Second {
		t.Errorf("all is written after %v, want 25 s", s.now)
	}
	if busy := quantileOf(s.others, 0.9); busy > 20*time.Millisecond {
		t.Errorf("a tenth of the time another client's call takes %v or more, want 20 ms", busy)
	}
	if took := run("alone").now; took > 6*time.Second {
		t.Errorf("one agent's 200 writes take %v, want 6 s", took)
	}
}
