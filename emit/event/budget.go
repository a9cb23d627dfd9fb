package event

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

const (
	// minRate is what a budget never falls below, in calls per second, with the
	// server away: how often the emitter asks whether it is back. tiredRate is
	// the same for one that is there and has too much to do: it may have
	// thousands of agents.
	minRate   = 0.5
	tiredRate = 0.1
	// growSeconds is how long a budget takes from nothing to its full rate;
	// slowSeconds from where the server had enough, so that it does not soon
	// have to say so again.
	growSeconds = 2.0
	slowSeconds = 20.0
	// enoughShare is the share of its full rate below which a budget grows
	// fast even so.
	enoughShare = 0.1
	// startShare is the share of its full rate that a budget begins at: all
	// agents of a cluster may start in one moment.
	startShare = 0.1
	// maxPause bounds a Retry-After. Calls come later than it says at random, by
	// up to so much of it, so that all who got the same do not come back as one:
	// by pauseSpread, doubling with each refusal in a row up to maxSpread, and by
	// maxPause at most.
	maxPause    = 2 * time.Minute
	pauseSpread = 0.5
	maxSpread   = 8
	// tiredFor is how long after a failure the server counts as tired.
	tiredFor = 5 * time.Second
	// probeAfter is how long without an answer makes the next call a probe: all
	// agents may have something to tell in one moment, so it goes alone, and
	// comes later by up to probeSpread at random.
	probeAfter  = 10 * time.Second
	probeSpread = 550 * time.Millisecond
	// lateShare is the share of the server's time that a crowd may take: all who
	// waited for a late answer come again after so many times as long.
	lateShare = 0.25
	// crowdedFor is how long after it gave way a budget grows by at most a share
	// of itself with each answer in time: by crowdGrowth where all may have given
	// way in one moment, and so grow at once, else by ownGrowth.
	crowdedFor  = 30 * time.Second
	crowdGrowth = 0.25
	ownGrowth   = 1
)

// budget is the node's allowance of calls. It adapts as TCP does: it halves
// when the server throttles, fails or times out, gives way when its answers come
// later than usual, before it must throttle, and grows by a fixed amount
// with time while calls succeed, slowly from half of where the server
// throttled. So many nodes share a tired server. The caller serialises the
// methods and gives the time.
type budget struct {
	limiter *rate.Limiter
	full    float64       // calls per second
	burst   int           // at the full rate
	rate    float64       // calls per second, now
	enough  float64       // calls per second from which it grows slowly
	paused  time.Time     // until when no call starts, as the server wishes
	yielded time.Time     // until when none does, to make room
	cut     time.Time     // when it was cut last: calls that started before tell nothing new
	failure time.Time     // when it was cut last because a call had failed
	grown   time.Time     // when it grew last
	heard   time.Time     // when the last answer came
	asked   time.Time     // when the call started that ended the last silence
	doubted time.Time     // when a late answer came that the next one may contradict, zero: none
	gaveWay time.Time     // when it made room for others last
	growth  float64       // what it then grows by with each answer in time, as a share
	waited  time.Duration // how late the answer was that it gave way to
	spread  float64       // of the next pause
	probeAt time.Time     // when the next probe may start, zero: not chosen yet
	usual   usual
	random  func() float64 // in [0, 1)
	off     string         // the mechanism that does not work, "" for none
}

// switchOff switches a mechanism off, to measure what it is good for.
func (b *budget) switchOff(mechanism string) {
	b.off = mechanism
	if mechanism == "slow start" {
		b.set(time.Time{}, b.full)
	}
}

func newBudget(full float64, burst int) *budget {
	b := &budget{full: full, burst: burst, rate: full * startShare, enough: full, spread: pauseSpread, usual: usual(quickCall / 2), random: rand.Float64}
	b.limiter = rate.NewLimiter(rate.Limit(b.rate), b.burstNow())
	return b
}

// burstNow returns the burst that goes with the present rate.
func (b *budget) burstNow() int { return max(1, int(float64(b.burst)*b.rate/b.full)) }

// inFlight returns how many calls may be under way at once, of at most limit.
// It is what keeps many agents from flooding a server that slows down.
func (b *budget) inFlight(limit int, now time.Time) int {
	if b.probes(now) {
		return 1
	}
	if b.off == "calls in flight" {
		return limit
	}
	return max(1, int(float64(limit)*b.rate/b.full))
}

// probes says that a call that starts now is a probe.
func (b *budget) probes(now time.Time) bool {
	return b.off != "silence" && now.Sub(b.heard) > probeAfter
}

// hurry lets the next probe start at once.
func (b *budget) hurry() { b.probeAt = time.Unix(0, 0) }

// tired says that the server failed of late.
func (b *budget) tired(now time.Time) bool { return now.Sub(b.failure) < tiredFor }

// wait returns how long the next call must wait, 0 when it may start now.
func (b *budget) wait(now time.Time) time.Duration {
	if b.probes(now) && b.probeAt.IsZero() {
		b.probeAt = now.Add(time.Duration(b.random() * float64(probeSpread)))
	}
	return max(0, b.paused.Sub(now), b.yielded.Sub(now), b.probeAt.Sub(now), untilToken(b.limiter, now))
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

// answered notes that the server, not the network, has answered.
func (b *budget) answered(started, now time.Time) {
	if b.probes(started) {
		b.asked = started
	}
	b.heard = now
	b.probeAt = time.Time{}
}

// succeeded notes an answer that says the server is well, or that it comes late.
func (b *budget) succeeded(started, now time.Time) {
	b.answered(started, now)
	b.spread = pauseSpread
	took := now.Sub(started)
	quick := b.usual.quick(took)
	if b.off == "usual times" {
		quick = took <= quickCall
	}
	if !quick && b.off != "late answers" {
		b.late(started, now, took)
		return
	}
	b.doubted = time.Time{}
	if b.rate < b.full {
		b.grow(now, b.growth)
	}
}

// grow takes the time since it grew last for more rate: soon after it gave way,
// for at most a share of what it has.
func (b *budget) grow(now time.Time, share float64) {
	elapsed := min(now.Sub(b.grown).Seconds(), 1)
	b.grown = now
	seconds := growSeconds
	if b.rate >= b.enough && b.off != "slow growth" {
		seconds = slowSeconds
	}
	more := elapsed * b.full / seconds
	if now.Sub(b.gaveWay) < crowdedFor && b.off != "crowd growth" {
		more = min(more, share*b.rate)
	}
	b.set(now, min(b.full, b.rate+more))
	if b.rate == b.full {
		b.enough = b.full
	}
}

// late notes an answer that came later than usual. Soon after a silence it says
// that many others began to speak as well. Later on one alone says little, as a
// server may be uneven; two in a row do. One that is about as late as the one it
// gave way to says that this is enough, or that the server has become slow for
// everybody: then the rate grows again, and what is usual is learned sooner.
func (b *budget) late(started, now time.Time, took time.Duration) {
	if started.Before(b.cut) {
		return
	}
	if b.off != "no later than before" && now.Sub(b.gaveWay) < crowdedFor && took <= 2*b.waited {
		b.usual.learn(took)
		b.grow(now, crowdGrowth)
		return
	}
	begun := started.Sub(b.asked) < probeAfter
	if b.off == "doubt" && !begun || b.off == "late after an outage" && begun && b.asked.Sub(b.failure) <= probeAfter {
		return
	}
	switch {
	case begun && b.asked.Sub(b.failure) > probeAfter:
		// The others' probes came since up to probeSpread before this one: so long
		// has the server been busy with them.
		b.giveWay(now, took, crowdRate(took+probeSpread, tiredRate), crowdGrowth)
	case begun: // the server is back, and slow to begin with
		b.giveWay(now, took, crowdRate(took, minRate), ownGrowth)
	case b.doubted.IsZero():
		b.doubted = now
	case !started.Before(b.doubted):
		b.giveWay(now, took, max(b.rate/2, crowdRate(took, tiredRate)), ownGrowth)
	}
}

// crowdRate returns the calls per second, floor at least, that each of a crowd
// may make that has kept the server busy for so long.
func crowdRate(busy time.Duration, floor float64) float64 {
	return max(floor, lateShare/busy.Seconds())
}

// giveWay makes room for others, whose calls this one waited behind.
func (b *budget) giveWay(now time.Time, took time.Duration, r, growth float64) {
	b.gaveWay, b.cut, b.grown = now, now, now
	b.waited, b.growth = took, growth
	b.doubted = time.Time{}
	b.set(now, min(b.rate, r))
	wait := (0.5 + b.random()) / b.rate
	b.yielded = now.Add(time.Duration(wait * float64(time.Second)))
}

// failed notes that the server did not take a call. Either it has too much to
// do, as it answered, with pause as its Retry-After, 0 for none, or did not in
// time; or it was not reached, which says nothing of what it can bear.
func (b *budget) failed(started, now time.Time, overloaded bool, pause time.Duration) {
	pause = min(pause, maxPause)
	pause += min(maxPause, time.Duration(b.random()*b.spread*float64(pause)))
	b.pause(now.Add(pause))
	if !overloaded {
		b.halve(started, now, min(minRate, b.full))
		return
	}
	b.answered(started, now)
	floor := tiredRate
	if b.off == "two floors" {
		floor = minRate
	}
	if b.halve(started, now, min(floor, b.full)) && b.off != "doubling spread" {
		b.spread = min(2*b.spread, maxSpread)
	}
	b.enough = max(b.rate, b.full*enoughShare)
}

// pause keeps calls from starting until then.
func (b *budget) pause(until time.Time) {
	if until.After(b.paused) {
		b.paused = until
	}
}

// halve halves the rate, once for all the calls that were under way together:
// it says whether this was the first of them.
func (b *budget) halve(started, now time.Time, floor float64) bool {
	b.failure = now
	if started.Before(b.cut) {
		return false
	}
	b.cut, b.grown = now, now
	b.set(now, max(floor, b.rate/2))
	return true
}

func (b *budget) set(now time.Time, r float64) {
	b.rate = r
	b.limiter.SetLimitAt(now, rate.Limit(r))
	b.limiter.SetBurstAt(now, b.burstNow())
}
