package resolve

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

const (
	churnSteps = 100_000
	churnSeed  = 4

	skew     = 2 * time.Second
	lateness = 1500 * time.Millisecond // of a watch event
	drift    = 800 * time.Millisecond  // of another node's clock
	// unclear is how far from a change of owners it may be unclear who it was:
	// the skew of the lookup, the cut second and the drift of the stamp, and
	// how much later than the truth an end is told.
	unclear = skew + time.Second + drift + lateness + time.Second
	// settled is when everything about a time has been told.
	settled = unclear
)

// TestChurn lets pods come and go at random on a few addresses, tells the
// index as late, as out of order and as incompletely as an API server may, and
// checks every answer against what was true.
func TestChurn(t *testing.T) {
	c := newChurn(t, churnSeed)
	for range churnSteps {
		c.step()
	}
	c.finish()
	t.Logf("%d steps, seed %d: %+v", churnSteps, churnSeed, c.tally)
	if c.tally.Wrong != 0 || c.tally.Unfounded != 0 || c.tally.Missed != 0 {
		t.Errorf("wrong pods %d, unfounded ambiguities %d, missed pods %d, want 0", c.tally.Wrong, c.tally.Unfounded, c.tally.Missed)
	}
	// A test that asks nothing difficult proves nothing.
	if c.tally.Right < 1000 || c.tally.Ambiguous < 100 || c.tally.Relists < 100 || c.tally.Reuses < 1000 {
		t.Errorf("too little happened: %+v", c.tally)
	}
}

// tally counts what happened and what was answered, after all was told and (of
// early answers) while news was still under way.
type tally struct {
	Pods, Reuses, Relists, Late              int
	Right, Nobody, Ambiguous                 int
	Wrong, Unfounded, Missed                 int
	EarlyRight, EarlyUnknown, EarlyOvertaken int
}

// owning is what is true: from when to when a pod had an address.
type owning struct {
	uid      string
	from, to int64
}

type question struct {
	addr netip.Addr
	at   int64
}

type churn struct {
	t   *testing.T
	rng *rand.Rand
	now int64

	owners *owners
	store  map[string]*pod // the informer's

	addrs   []netip.Addr
	offsets []time.Duration // of the nodes' clocks; the first is ours
	pods    []*livePod
	truth   map[netip.Addr][]owning
	serial  int
	version int

	news      []news           // told by the API server, not yet arrived
	arrival   map[string]int64 // of the last news of each pod
	deaf      owning           // while the watch is broken
	questions []question
	tally     tally
}

func newChurn(t *testing.T, seed uint64) *churn {
	c := &churn{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), now: noon().UnixNano(),
		store:   map[string]*pod{},
		offsets: []time.Duration{0, drift, -drift},
		truth:   map[netip.Addr][]owning{},
		arrival: map[string]int64{},
	}
	c.owners = newOwners(skew, 5*time.Minute, "n0", func(netip.Addr) bool { return true }, func() int64 { return c.now })
	for i := range 6 {
		c.addrs = append(c.addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}))
	}
	c.owners.listing(c.now)
	c.owners.watching(c.now)
	c.now += int64(time.Minute)
	return c
}

// step lets a moment pass, and one thing happen.
func (c *churn) step() {
	c.now += int64(c.upTo(400 * time.Millisecond))
	c.arrive()
	c.settle()
	c.act()
	c.askEarly()
	c.answer()
}

func (c *churn) upTo(d time.Duration) time.Duration { return time.Duration(c.rng.Int64N(int64(d))) }

// askEarly asks about a moment ago while the news of it may be under way, and
// remembers to ask again.
func (c *churn) askEarly() {
	q := question{c.addrs[c.rng.IntN(len(c.addrs))], c.now - int64(c.upTo(time.Second))}
	c.questions = append(c.questions, q)
	p, _ := c.owners.find(q.addr, q.at)
	switch {
	case p == nil:
		c.tally.EarlyUnknown++
	case p.uid() == c.ownerAt(q.addr, q.at):
		c.tally.EarlyRight++
	case c.hadNear(p.uid(), q.addr, q.at, unclear) || c.inBlind(q.at):
		c.tally.EarlyOvertaken++ // its end was not told yet
	default:
		c.tally.Wrong++
		c.t.Errorf("early: %v at %v answered %s, which was not near it", q.addr, clock(q.at), p.uid())
	}
}

// answer asks the questions about which everything has been told.
func (c *churn) answer() {
	for len(c.questions) > 0 && c.questions[0].at+int64(settled) <= c.now && c.deaf.from == 0 {
		q := c.questions[0]
		c.questions = c.questions[1:]
		c.check(q)
	}
}

func (c *churn) check(q question) {
	p, v := c.owners.find(q.addr, q.at)
	truth := c.ownerAt(q.addr, q.at)
	plain := !c.inBlind(q.at) && len(c.near(q.addr, q.at)) == 1 && c.covers(truth, q)
	switch {
	case v == owned && p.uid() == truth:
		c.tally.Right++
	case v == owned && (truth != "" || !c.hadNear(p.uid(), q.addr, q.at, unclear)):
		c.tally.Wrong++
		c.t.Errorf("%v at %v answered %s, was %q of %v", q.addr, clock(q.at), p.uid(), truth, c.near(q.addr, q.at))
	case plain:
		c.tally.Missed++
		c.t.Errorf("%v at %v answered %v, was %q of %v", q.addr, clock(q.at), v, truth, c.near(q.addr, q.at))
	case v == contested && !c.inBlind(q.at) && len(c.near(q.addr, q.at)) < 2:
		c.tally.Unfounded++
		c.t.Errorf("%v at %v answered ambiguous, was %q of %v", q.addr, clock(q.at), truth, c.near(q.addr, q.at))
	case v == contested:
		c.tally.Ambiguous++
	case v == owned:
		c.tally.Right++ // the one that had it a moment before or after
	default:
		c.tally.Nobody++
	}
}

// finish lets all news arrive, and asks the rest.
func (c *churn) finish() {
	for range 100 {
		c.now += int64(time.Second)
		c.arrive()
		c.settle()
		c.answer()
	}
	if len(c.questions) > 0 {
		c.t.Errorf("%d questions were not asked", len(c.questions))
	}
}

func (c *churn) ownerAt(addr netip.Addr, at int64) string {
	for _, o := range c.truth[addr] {
		if o.from <= at && at < o.to {
			return o.uid
		}
	}
	return ""
}

// near lists who had addr within unclear of at.
func (c *churn) near(addr netip.Addr, at int64) []string {
	var all []string
	for _, o := range c.truth[addr] {
		if o.from-int64(unclear) <= at && at <= o.to+int64(unclear) {
			all = append(all, fmt.Sprintf("%s[%v,%v]", o.uid, clock(o.from), clock(min(o.to, c.now))))
		}
	}
	return all
}

func (c *churn) hadNear(uid string, addr netip.Addr, at int64, d time.Duration) bool {
	for _, o := range c.truth[addr] {
		if o.uid == uid && o.from-int64(d) <= at && at <= o.to+int64(d) {
			return true
		}
	}
	return false
}

// covers says whether uid had the address long before and long after.
func (c *churn) covers(uid string, q question) bool {
	for _, o := range c.truth[q.addr] {
		if o.uid == uid && o.from+int64(unclear) <= q.at && q.at <= o.to-int64(unclear) {
			return true
		}
	}
	return false
}

// inBlind says whether the watch was broken near a time.
func (c *churn) inBlind(at int64) bool {
	for _, b := range c.truth[netip.Addr{}] {
		if b.from-int64(unclear) <= at && at <= b.to+int64(unclear) {
			return true
		}
	}
	return c.deaf.from != 0 && at >= c.deaf.from-int64(unclear)
}

func clock(at int64) time.Duration { return time.Duration(at - noon().UnixNano()) }
