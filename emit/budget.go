package emit

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

const (
	// minRate is what a budget never falls below, in calls per second: with
	// the server away it is how often the emitter asks whether it is back.
	minRate = 0.5
	// growSeconds is how long a budget takes from nothing to its full rate;
	// slowSeconds from where the server had enough, so that it does not soon
	// have to say so again.
	growSeconds = 2.0
	slowSeconds = 20.0
	// slowCall is how long a call may take before the server counts as tired;
	// on slow answers alone a budget falls to slowShare of its full rate.
	slowCall  = time.Second
	slowShare = 0.1
	// startShare is the share of its full rate that a budget begins at: all
	// agents of a cluster may start in one moment.
	startShare = 0.1
	// maxPause bounds a Retry-After, and pauseSpread is by how much of it calls
	// come later at random, so that all who got the same do not come back as one.
	maxPause    = 2 * time.Minute
	pauseSpread = 0.5
	// tiredFor is how long after a failure the server counts as tired.
	tiredFor = 5 * time.Second
)

// budget is the node's allowance of calls. It adapts as TCP does: it halves
// when the server throttles, fails or times out, and grows by a fixed amount
// with time while calls succeed, slowly from half of where the server
// throttled. So many nodes share a tired server. The caller serialises the
// methods and gives the time.
type budget struct {
	limiter *rate.Limiter
	full    float64 // calls per second
	burst   int     // at the full rate
	rate    float64 // calls per second, now
	enough  float64 // calls per second from which it grows slowly
	paused  time.Time
	cut     time.Time // when it was halved last
	grown   time.Time // when it grew last
}

func newBudget(full float64, burst int) *budget {
	b := &budget{full: full, burst: burst, rate: full * startShare, enough: full}
	b.limiter = rate.NewLimiter(rate.Limit(b.rate), b.burstNow())
	return b
}

// burstNow returns the burst that goes with the present rate.
func (b *budget) burstNow() int { return max(1, int(float64(b.burst)*b.rate/b.full)) }

// inFlight returns how many calls may be under way at once, of at most limit.
// It is what keeps many agents from flooding a server that slows down.
func (b *budget) inFlight(limit int) int {
	return max(1, int(float64(limit)*b.rate/b.full))
}

// tired says that the server failed of late.
func (b *budget) tired(now time.Time) bool { return now.Sub(b.cut) < tiredFor }

// wait returns how long the next call must wait, 0 when it may start now.
func (b *budget) wait(now time.Time) time.Duration {
	if b.paused.After(now) {
		return b.paused.Sub(now)
	}
	return untilToken(b.limiter, now)
}

// untilToken returns how long a limiter takes to have a whole token.
func untilToken(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	// A nanosecond more, so that rounding does not leave a token just short.
	return time.Duration(missing/float64(l.Limit())*float64(time.Second)) + 1
}

// spend takes one call.
func (b *budget) spend(now time.Time) { b.limiter.AllowN(now, 1) }

// succeeded notes an answer that says the server is well, or slow.
func (b *budget) succeeded(started, now time.Time) {
	if now.Sub(started) > slowCall {
		if b.rate > b.full*slowShare {
			b.halve(started, now, b.full*slowShare)
		}
		return
	}
	if b.rate >= b.full {
		return
	}
	elapsed := min(now.Sub(b.grown).Seconds(), 1)
	b.grown = now
	seconds := growSeconds
	if b.rate >= b.enough {
		seconds = slowSeconds
	}
	b.set(now, min(b.full, b.rate+elapsed*b.full/seconds))
	if b.rate == b.full {
		b.enough = b.full
	}
}

// failed notes that the server did not take a call. Either it answered that it
// is overloaded, with pause as its Retry-After, 0 for none; or it was not
// reached, which says nothing of what it can bear.
func (b *budget) failed(started, now time.Time, reached bool, pause time.Duration) {
	pause = min(pause, maxPause)
	pause += time.Duration(rand.Float64() * pauseSpread * float64(pause))
	if until := now.Add(pause); until.After(b.paused) {
		b.paused = until
	}
	b.halve(started, now, min(minRate, b.full))
	if reached {
		b.enough = max(b.rate, b.full*slowShare)
	}
}

// halve halves the rate, once for all the calls that were under way together.
func (b *budget) halve(started, now time.Time, floor float64) {
	if started.Before(b.cut) {
		return
	}
	b.cut, b.grown = now, now
	b.set(now, max(floor, b.rate/2))
}

func (b *budget) set(now time.Time, r float64) {
	b.rate = r
	b.limiter.SetLimitAt(now, rate.Limit(r))
	b.limiter.SetBurstAt(now, b.burstNow())
}
