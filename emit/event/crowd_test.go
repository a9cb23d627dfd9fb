package event

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// crowdCase is many agents, each with a limiter of its own, and one API server,
// simulated in virtual time. The API server needs 1 ms of a single CPU for a
// call, so that it serves 1,000 calls a second at most.
type crowdCase struct {
	name   string
	agents int
	writes int           // of each agent
	every  time.Duration // mean time between an agent's writes, 0: all at once
	pause  time.Duration // not 0: an agent's writes come in bursts of 50, this far apart
	grown  bool          // the limiters have answers behind them

	delay      time.Duration // of the network, both ways together
	seats      int           // calls that the server works on at once, 0: all
	queue      int           // calls that wait for a seat before it answers 429, 0: all
	retryAfter time.Duration
	quota      float64 // calls a second before it answers 429, as EventRateLimit does; 0: none
	away       period  // the server is not reached
	slow       period  // the server needs slowBy times as long
	slowBy     float64
}

// period is a part of virtual time.
type period struct{ from, to time.Duration }

func (p period) has(t time.Duration) bool { return t >= p.from && t < p.to }

// ownFairness is a server with the settings that Kubernetes has by itself: all
// service accounts share the level workload-low.
func ownFairness(c crowdCase) crowdCase {
	c.seats, c.queue, c.retryAfter = 245, 300, time.Second
	return c
}

func crowdCases() []crowdCase {
	const near, far = 2 * time.Millisecond, 100 * time.Millisecond
	return []crowdCase{
		ownFairness(crowdCase{name: "storm", agents: 1000, writes: 6, delay: near}),
		{name: "storm-flowschema", agents: 1000, writes: 6, delay: near, seats: 3},
		ownFairness(crowdCase{name: "storm-of-5000", agents: 5000, writes: 6, delay: near}),
		ownFairness(crowdCase{name: "overload", agents: 1000, writes: 60, every: 500 * time.Millisecond, delay: near}),
		ownFairness(crowdCase{
			name: "slow-server", agents: 200, writes: 60, every: 500 * time.Millisecond, delay: near, grown: true,
			slow: period{5 * time.Second, 35 * time.Second}, slowBy: 10,
		}),
		{name: "429-retry-after", agents: 300, writes: 60, every: 300 * time.Millisecond, delay: near, seats: 20, queue: 20, retryAfter: time.Second},
		{name: "429", agents: 300, writes: 60, delay: near, quota: 300},
		ownFairness(crowdCase{
			name: "outage", agents: 1000, writes: 20, every: 3 * time.Second, delay: near, grown: true,
			away: period{5 * time.Second, 50 * time.Second},
		}),
		{
			name: "outage-alone", agents: 1, writes: 500, every: 100 * time.Millisecond, delay: near, grown: true,
			away: period{5 * time.Second, 60 * time.Second},
		},
		{
			name: "outage-alone-slow-return", agents: 1, writes: 500, every: 100 * time.Millisecond, delay: near, grown: true,
			away: period{5 * time.Second, 60 * time.Second}, slow: period{60 * time.Second, 65 * time.Second}, slowBy: 60,
		},
		{name: "alone", agents: 1, writes: 200, delay: near},
		{name: "alone-far", agents: 1, writes: 200, delay: far},
		{name: "alone-far-bursts", agents: 1, writes: 200, delay: far, pause: 30 * time.Second},
	}
}

// crowdLimiter is what a simulated agent asks before a call, and tells after it.
type crowdLimiter interface {
	inFlight(limit int, now time.Time) int
	wait(now time.Time) time.Duration
	spend(now time.Time)
	succeeded(started, now time.Time)
	failed(started, now time.Time, overloaded bool, pause time.Duration)
}

// crowd is a crowdCase that runs.
type crowd struct {
	crowdCase
	now    time.Duration
	events eventQueue
	random *rand.Rand
	server crowdServer
	left   int // writes that are not made yet

	calls, throttled int
	firsts           []time.Duration // of each agent: until its first write was made
	writes           []time.Duration // of each write: until it was made
	others           []time.Duration // what another client's call would take, every 10 ms
}

// runCrowd lets agents with such limiters write, until all is written.
func runCrowd(tb testing.TB, c crowdCase, newLimiter func(random func() float64) crowdLimiter) *crowd {
	tb.Helper()
	s := &crowd{crowdCase: c, random: rand.New(rand.NewPCG(1, 2))}
	s.server = crowdServer{crowd: s}
	if c.quota > 0 {
		s.server.quota = rate.NewLimiter(rate.Limit(c.quota), int(2*c.quota))
	}
	for range c.agents {
		s.addAgent(newLimiter(s.random.Float64))
	}
	s.sample()
	for s.left > 0 {
		e := heap.Pop(&s.events).(virtualEvent)
		if s.now = e.at; s.now > time.Hour {
			tb.Fatalf("%s: %d writes are not made after an hour", c.name, s.left)
		}
		e.do()
	}
	return s
}

func (s *crowd) addAgent(l crowdLimiter) {
	a := &crowdAgent{crowd: s, limiter: l}
	if s.grown {
		for t := start.Add(-time.Minute); t.Before(start); t = t.Add(100 * time.Millisecond) {
			l.succeeded(t, t.Add(time.Millisecond))
		}
	}
	s.left += s.crowdCase.writes
	for n := range s.crowdCase.writes {
		at := time.Duration(n/50)*s.pause + time.Duration((float64(n)+s.random.Float64())*float64(s.every))
		s.at(at, func() { a.add(crowdCall{agent: a, due: at}) })
	}
}

// at has something done at a virtual time.
func (s *crowd) at(t time.Duration, do func()) {
	s.events.sequence++
	heap.Push(&s.events, virtualEvent{max(t, s.now), s.events.sequence, do})
}

func (s *crowd) clock() time.Time { return start.Add(s.now) }

// sample notes what another client's call would take, which shares the server's
// CPU with the calls that it works on.
func (s *crowd) sample() {
	s.others = append(s.others, time.Duration(float64(len(s.server.active)+1)*s.server.cost()*float64(time.Millisecond)))
	s.at(s.now+10*time.Millisecond, s.sample)
}

// crowdAgent is an agent with writes to make, four at once at most.
type crowdAgent struct {
	crowd   *crowd
	limiter crowdLimiter
	ready   []crowdCall
	flying  int
	wakesAt time.Duration
	wrote   bool
}

type crowdCall struct {
	agent    *crowdAgent
	due      time.Duration // the write
	started  time.Duration
	failures int
	finish   float64 // the server's work until it is answered
}

func (a *crowdAgent) add(c crowdCall) {
	a.ready = append(a.ready, c)
	a.start()
}

// start starts the calls that the limiter allows now, and comes again when it
// may allow one more.
func (a *crowdAgent) start() {
	s := a.crowd
	for len(a.ready) > 0 && a.flying < a.limiter.inFlight(4, s.clock()) {
		if w := a.limiter.wait(s.clock()); w > 0 {
			if at := s.now + w; a.wakesAt <= s.now || at < a.wakesAt {
				a.wakesAt = at
				s.at(at, a.start)
			}
			return
		}
		a.limiter.spend(s.clock())
		c := a.ready[0]
		a.ready = a.ready[1:]
		c.started = s.now
		a.flying++
		s.calls++
		s.at(s.now+s.delay/2, func() { s.server.arrive(&c) })
	}
}

// written takes a call's answer.
func (a *crowdAgent) written(c *crowdCall) {
	s := a.crowd
	a.flying--
	a.limiter.succeeded(start.Add(c.started), s.clock())
	s.left--
	s.writes = append(s.writes, s.now-c.due)
	if !a.wrote {
		a.wrote = true
		s.firsts = append(s.firsts, s.now)
	}
	a.start()
}

// refused takes a 429, or that the server was not reached.
func (a *crowdAgent) refused(c *crowdCall, throttled bool) {
	s := a.crowd
	a.flying--
	if throttled {
		s.throttled++
		a.limiter.failed(start.Add(c.started), s.clock(), true, s.retryAfter)
		a.add(*c)
		return
	}
	a.limiter.failed(start.Add(c.started), s.clock(), false, 0)
	c.failures++
	s.at(s.now+retryAfter(c.failures), func() { a.add(*c) })
	a.start()
}

// crowdServer works on all calls that have a seat, in equal parts.
type crowdServer struct {
	crowd   *crowd
	quota   *rate.Limiter
	active  []*crowdCall // the one that ends first is the first
	waiting []*crowdCall
	work    float64       // calls that each seat has worked off
	until   time.Duration // the time that work is for
}

// cost is what a call takes now, in milliseconds of CPU.
func (v *crowdServer) cost() float64 {
	if v.crowd.slow.has(v.crowd.now) {
		return v.crowd.slowBy
	}
	return 1
}

func (v *crowdServer) arrive(c *crowdCall) {
	s := v.crowd
	refuse := func(throttled bool) { s.at(s.now+s.delay/2, func() { c.agent.refused(c, throttled) }) }
	switch {
	case s.away.has(s.now):
		refuse(false)
	case v.quota != nil && !v.quota.AllowN(s.clock(), 1):
		refuse(true)
	case s.seats == 0 || len(v.active) < s.seats:
		v.workOff()
		v.seat(c)
		if len(v.active) == 1 {
			v.plan()
		}
	case s.queue > 0 && len(v.waiting) >= s.queue:
		refuse(true)
	default:
		v.waiting = append(v.waiting, c)
	}
}

func (v *crowdServer) seat(c *crowdCall) {
	c.finish = v.work + 1
	v.active = append(v.active, c)
}

// workOff accounts for the time since it was called last.
func (v *crowdServer) workOff() {
	if n := len(v.active); n > 0 {
		v.work += (v.crowd.now - v.until).Seconds() * 1000 / v.cost() / float64(n)
	}
	v.until = v.crowd.now
}

// plan comes again when the first of the active calls may have ended.
func (v *crowdServer) plan() {
	left := (v.active[0].finish - v.work) * float64(len(v.active)) * v.cost()
	// The cost may change meanwhile, and calls may come.
	wait := min(time.Duration(left*float64(time.Millisecond))+1, 100*time.Millisecond)
	v.crowd.at(v.crowd.now+wait, v.end)
}

// end answers the calls that have ended and seats others.
func (v *crowdServer) end() {
	s := v.crowd
	v.workOff()
	for len(v.active) > 0 && v.active[0].finish <= v.work+1e-5 {
		c := v.active[0]
		v.active = v.active[1:]
		s.at(s.now+s.delay/2, func() { c.agent.written(c) })
	}
	for len(v.waiting) > 0 && len(v.active) < s.seats {
		v.seat(v.waiting[0])
		v.waiting = v.waiting[1:]
	}
	if len(v.active) > 0 {
		v.plan()
	}
}

// virtualEvent is something to do at a virtual time.
type virtualEvent struct {
	at       time.Duration
	sequence int // of those at the same time
	do       func()
}

type eventQueue struct {
	events   []virtualEvent
	sequence int
}

func (q *eventQueue) Len() int      { return len(q.events) }
func (q *eventQueue) Swap(i, j int) { q.events[i], q.events[j] = q.events[j], q.events[i] }
func (q *eventQueue) Push(x any)    { q.events = append(q.events, x.(virtualEvent)) }

func (q *eventQueue) Less(i, j int) bool {
	a, b := q.events[i], q.events[j]
	return a.at < b.at || a.at == b.at && a.sequence < b.sequence
}

func (q *eventQueue) Pop() any {
	last := q.events[len(q.events)-1]
	q.events = q.events[:len(q.events)-1]
	return last
}
