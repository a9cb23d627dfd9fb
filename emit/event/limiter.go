package event

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

const (
	// minRate is the least rate, in calls per second. 5,000 agents at this rate keep
	// one CPU of an API server busy. awayRate is the same while the API server is not
	// reached: how often the agent tries.
	minRate  = 0.2
	awayRate = 0.5
	// growSeconds is how long the rate takes to grow from nothing to the limit, and
	// slowSeconds how long it takes above the threshold.
	growSeconds = 2
	slowSeconds = 20
	// overloadedFor is how long the API server counts as overloaded after a
	// failure.
	overloadedFor = 5 * time.Second

	// maxPause bounds a Retry-After. Pauses are longer by up to pauseJitter of
	// themselves, at random, to avoid a thundering herd.
	maxPause    = 2 * time.Minute
	pauseJitter = 0.5

	// After probeAfter without a call that succeeded, the next call is a probe: it
	// goes alone, and up to startJitter later at random. All agents may have
	// something to write in the same moment.
	probeAfter  = 10 * time.Second
	startJitter = 550 * time.Millisecond
	// quickAnswer is how long an answer may always take without being late.
	quickAnswer = 50 * time.Millisecond
	// crowdShare is the share of the API server's time that a crowd of agents may
	// take. crowdGrowth bounds how much the rate grows with each answer then, as a
	// share of itself.
	crowdShare  = 0.25
	crowdGrowth = 0.25
)

// adaptiveLimiter limits the node's calls to the API server so that thousands of
// agents share it, although each of them sees only its own calls:
//
//  1. The rate halves when a call fails, and grows by a fixed amount with time
//     while calls succeed: fast up to where the API server throttled last, slowly
//     above. The number of calls in flight follows the rate.
//  2. A Retry-After is kept, with jitter.
//  3. After a silence one call goes first, as a probe, with jitter. If the answer
//     is later than usual, many agents have started at once. The limiter then
//     backs off before the API server must throttle, the more the later the answer
//     is.
//
// docs/design/adaptive-limiter.md shows what each of them is good for. The caller
// serialises the methods and passes the time.
type adaptiveLimiter struct {
	tokens      *rate.Limiter
	max         float64       // calls per second
	burst       int           // at the highest rate
	rate        float64       // calls per second, now
	threshold   float64       // the rate grows fast below it, slowly above
	baseline    time.Duration // how long answers take lately: a moving average
	crowded     bool          // the last probe was late, and the rate is not back at max
	away        bool          // the last call has not reached the API server
	startAt     time.Time     // no call starts before: the jitter of a probe, or of what follows a late one
	pausedUntil time.Time     // no call starts before: the API server wants it
	lastSuccess time.Time
	lastFailure time.Time
	random      func() float64 // in [0, 1)
}

func newAdaptiveLimiter(maxRate float64, burst int) *adaptiveLimiter {
	return &adaptiveLimiter{
		tokens: rate.NewLimiter(rate.Limit(maxRate), burst),
		max:    maxRate, burst: burst, rate: maxRate, threshold: maxRate,
		random: rand.Float64,
	}
}

// probing reports whether a call that starts now is a probe.
func (l *adaptiveLimiter) probing(now time.Time) bool { return now.Sub(l.lastSuccess) > probeAfter }

// overloaded reports whether a call has failed lately.
func (l *adaptiveLimiter) overloaded(now time.Time) bool {
	return now.Sub(l.lastFailure) < overloadedFor
}

// inFlight returns how many calls may be in flight at once, of limit at most. It
// follows the rate: a slow API server would otherwise get calls from all agents
// faster than it answers them.
func (l *adaptiveLimiter) inFlight(limit int, now time.Time) int {
	if l.probing(now) {
		return 1
	}
	return max(1, int(float64(limit)*l.rate/l.max))
}

// wait returns how long the next call must wait, 0 if it may start now.
func (l *adaptiveLimiter) wait(now time.Time) time.Duration {
	if l.probing(now) && l.startAt.Before(l.lastSuccess.Add(probeAfter)) { // not chosen in this silence
		l.startAt = now.Add(time.Duration(l.random() * float64(startJitter)))
	}
	return max(0, l.pausedUntil.Sub(now), l.startAt.Sub(now), untilToken(l.tokens, now))
}

// pause returns how long the API server wants no calls, whatever the rate is.
func (l *adaptiveLimiter) pause(now time.Time) time.Duration {
	return max(0, l.pausedUntil.Sub(now))
}

// skipJitter lets the next call start without jitter.
func (l *adaptiveLimiter) skipJitter(now time.Time) { l.startAt = now }

// untilToken returns how long a limiter takes to have a whole token.
func untilToken(l *rate.Limiter, now time.Time) time.Duration {
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	// A nanosecond more, so that rounding does not leave a token just short.
	return time.Duration(missing/float64(l.Limit())*float64(time.Second)) + 1
}

// spend takes the token of a call that starts now.
func (l *adaptiveLimiter) spend(now time.Time) { l.tokens.AllowN(now, 1) }

// succeeded takes an answer that shows that the API server can do its work.
func (l *adaptiveLimiter) succeeded(started, now time.Time) {
	took := now.Sub(started)
	late := took > max(quickAnswer, 2*l.baseline)
	// After an outage a late answer shows a server that has just started. The rate
	// is low then anyway.
	crowd := late && l.probing(started) && !l.away
	// A clock that jumps back must not lower the rate.
	elapsed := max(0, min(now.Sub(l.lastSuccess).Seconds(), 1))
	l.lastSuccess, l.startAt, l.away = now, time.Time{}, false
	l.baseline += (took - l.baseline) / 8 // as TCP smooths its round-trip time
	if crowd {
		l.backOff(now, took)
		return
	}
	l.grow(now, elapsed)
}

// backOff makes room for the other agents, whose calls a probe has waited for.
// Their probes have come for startJitter, and kept the server busy for as long
// as this one took. The next call starts at a random moment, so that the agents
// do not come back together.
func (l *adaptiveLimiter) backOff(now time.Time, took time.Duration) {
	l.crowded = true
	l.setRate(now, min(l.rate, max(minRate, crowdShare/(took+startJitter).Seconds())))
	wait := (0.5 + l.random()) / l.rate
	l.startAt = now.Add(time.Duration(wait * float64(time.Second)))
}

// grow raises the rate for some seconds of success. After a late probe it grows
// slowly, because all agents have backed off and grow together.
func (l *adaptiveLimiter) grow(now time.Time, seconds float64) {
	more := seconds * l.max / growSeconds
	if l.rate >= l.threshold {
		more = seconds * l.max / slowSeconds
	}
	if l.crowded {
		more = min(more, crowdGrowth*l.rate)
	}
	l.setRate(now, min(l.max, l.rate+more))
	if l.rate == l.max {
		l.crowded, l.threshold = false, l.max
	}
}

// failed takes a failure. If overloaded is true, the API server has too much to do:
// it has said so, with pause as its Retry-After, 0 for none, or has not answered in
// time. Otherwise it was not reached, which does not show what it can bear.
func (l *adaptiveLimiter) failed(started, now time.Time, overloaded bool, pause time.Duration) {
	pause = min(pause, maxPause)
	pause += time.Duration(l.random() * pauseJitter * float64(pause))
	if until := now.Add(pause); until.After(l.pausedUntil) {
		l.pausedUntil = until
	}
	least := awayRate
	if overloaded {
		least = minRate
	}
	// Calls that were in flight together count as one failure.
	if !started.Before(l.lastFailure) {
		l.setRate(now, min(l.rate, max(least, l.rate/2)))
	}
	if overloaded {
		l.threshold = l.rate
	}
	l.lastFailure, l.away = now, !overloaded
}

func (l *adaptiveLimiter) setRate(now time.Time, r float64) {
	l.rate = r
	l.tokens.SetLimitAt(now, rate.Limit(r))
	l.tokens.SetBurstAt(now, max(1, int(float64(l.burst)*r/l.max)))
}
