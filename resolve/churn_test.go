package resolve

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	churnSteps = 30_000
	churnSeed  = 4

	skew     = 2 * time.Second
	lateness = 1500 * time.Millisecond // largest delay of a watch event
	drift    = 800 * time.Millisecond  // largest error of another node's clock
	// unclear is the time around a change of owners in which the owner may be unclear: the
	// skew of the look-up, the whole second and the drift of a time stamp, and the delay of
	// the report of an end.
	unclear = skew + time.Second + drift + lateness + time.Second
	// settled is the time after which everything about a moment has been reported.
	settled = unclear
)

// steps returns the number of steps of a churn test: KUBE_NFLOG_CHURN_STEPS, or a small
// number.
func steps(t *testing.T) int {
	given := os.Getenv("KUBE_NFLOG_CHURN_STEPS")
	if given == "" {
		return churnSteps
	}
	n, err := strconv.Atoi(given)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestChurn lets pods come and go at random on a few addresses. It reports changes to the
// Resolver as late, as unordered and as incompletely as an API server may, and compares
// every answer with the truth. Watches become silent without an end, end and resume, or are
// answered and then end with a 410. Flows last up to a minute. A hostile tenant claims
// addresses of others, see tenant.
func TestChurn(t *testing.T) {
	for name, calico := range map[string]bool{"without Calico": false, "with Calico": true} {
		t.Run(name, func(t *testing.T) {
			c, n := newChurn(t, churnSeed, calico), steps(t)
			c.run(n)
			if c.tally.Unfounded != 0 || c.tally.Missed != 0 {
				t.Errorf("unfounded ambiguities %d, missed pods %d, want 0", c.tally.Unfounded, c.tally.Missed)
			}
			if c.tally.Right < n/100 || c.tally.Stale < n/1000 {
				t.Errorf("too little was answered: %+v", c.tally)
			}
			if announced := c.tally.Announced > 0; announced != calico {
				t.Errorf("%d pods were named by their annotation alone", c.tally.Announced)
			}
		})
	}
}

// TestChurnWithClockSteps is TestChurn on a node whose wall clock steps by up to an hour,
// forward and back. The clocks of other nodes are right. Answers may be missing, but none
// may be wrong.
func TestChurnWithClockSteps(t *testing.T) {
	for name, calico := range map[string]bool{"without Calico": false, "with Calico": true} {
		t.Run(name, func(t *testing.T) {
			c, n := newChurn(t, churnSeed+1, calico), steps(t)
			c.stepping = true
			c.run(n)
			if c.tally.Right < n/500 || c.tally.ClockSteps < n/2000 {
				t.Errorf("too little happened: %+v", c.tally)
			}
		})
	}
}

// run makes n steps, and checks that no answer was wrong.
func (c *churn) run(n int) {
	for range n {
		c.step()
	}
	c.finish()
	c.t.Logf("%d steps: %+v", n, c.tally)
	if c.tally.Wrong != 0 {
		c.t.Errorf("%d wrong answers, want 0", c.tally.Wrong)
	}
	// A test without difficult questions proves nothing.
	least := min(c.tally.Relists, c.tally.Resumes, c.tally.Stalls, c.tally.Gone, c.tally.Ambiguous)
	if least < n/1000 || c.tally.Reuses < n/100 || c.tally.Windows < n/100 || c.tally.Lies < n/200 || c.tally.Services < n/1000 {
		c.t.Errorf("too little happened: %+v", c.tally)
	}
}

// tally counts what happened, the answers after everything was reported, and early answers
// while news was still on its way.
type tally struct {
	Pods, Reuses, Relists, Resumes, Stalls, Gone, ClockSteps, Late int
	Windows, Right, Announced, Nobody, Ambiguous                   int
	Wrong, Unfounded, Missed                                       int
	EarlyRight, EarlyUnknown, EarlyOvertaken, Stale                int
	// Lies and Services count what the tenant wrote. Vacant counts answers that named a pod
	// of the tenant for an address that nobody had. AmongTenant counts answers that named
	// one pod of the tenant instead of another.
	Lies, Services, Vacant, AmongTenant int
}

// owning is the truth: a pod had an address from one time to another.
type owning struct {
	uid      string
	from, to int64
	told     int64 // when its status had the address, 0 if not yet
}

// question is a question about a flow: when its packets were seen, in true time and by the
// wall clock.
type question struct {
	addr                netip.Addr
	first, last         int64
	firstWall, lastWall int64
}

// offset is the error of the wall clock since a time.
type offset struct{ since, by int64 }

type churn struct {
	t   *testing.T
	rng *rand.Rand
	now int64 // the true time, which is also the steady clock

	calico   bool // Calico is in use: addresses are announced before the status has them
	stepping bool
	offsets  []offset // of this node's wall clock, oldest first

	resolver *Resolver
	history  *ipHistory
	store    *store
	tenant   tenant

	addrs   []netip.Addr
	drifts  []time.Duration // of the nodes' clocks; the first is ours
	pods    []*livePod
	truth   map[netip.Addr][]owning
	serial  int
	version int

	news      []news           // news that the API server has sent and that has not arrived yet
	arrival   map[string]int64 // arrival of the last news of each pod
	deaf      owning           // the time without news
	silent    bool             // there is no news, and nobody knows it
	proof     int64            // the time up to which the watch is known to be complete
	questions []question
	tally     tally
}

func newChurn(t *testing.T, seed uint64, calico bool) *churn {
	c := &churn{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), now: noon().UnixNano(),
		calico:  calico,
		drifts:  []time.Duration{0, drift, -drift},
		offsets: []offset{{}},
		truth:   map[netip.Addr][]owning{},
		arrival: map[string]int64{},
	}
	r, err := New(Config{NodeName: "n0", Skew: skew, Now: noon}, clientOf(t, "http://unused.invalid"))
	if err != nil {
		t.Fatal(err)
	}
	close(r.ready)
	c.resolver, c.history = r, r.history
	c.store = newStore(Source{Transform: stripped(r.stripPod, func(string) {}), Handler: r.podHandler()}, watching{r})
	began := c.now
	r.clock.look = func() reading { return reading{wall: c.wallAt(c.now), steady: c.now - began} }
	for i := range 6 {
		c.addrs = append(c.addrs, netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 2)}))
	}
	for i := range c.drifts {
		r.nodes.replace(nil, nodeEntry(c.node(i)))
	}
	watched(c.history, c.wall())
	c.now += int64(time.Minute)
	return c
}

// node returns a Node of the cluster. The first gives addresses to pods, and Calico moves
// these to other nodes too.
func (c *churn) node(i int) *corev1.Node {
	o := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("n%d", i)},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Address: fmt.Sprintf("192.168.0.%d", i+1)}}},
	}
	if i == 0 {
		o.Spec.PodCIDR = "10.0.0.0/24"
	}
	if c.calico {
		o.Annotations = map[string]string{
			annotationCalicoNode:                   fmt.Sprintf("192.168.0.%d/24", i+1),
			"projectcalico.org/IPv4IPIPTunnelAddr": fmt.Sprintf("10.0.0.%d", i+30),
		}
	}
	return o
}

// wall returns the wall clock as the resolver reads it.
func (c *churn) wall() int64 { return c.resolver.now() }

// wallAt returns what the wall clock showed at a true time.
func (c *churn) wallAt(at int64) int64 {
	for i := len(c.offsets) - 1; i > 0; i-- {
		if c.offsets[i].since <= at {
			return at + c.offsets[i].by
		}
	}
	return at + c.offsets[0].by
}

// step advances the time, and makes one random change.
func (c *churn) step() {
	c.now += int64(c.upTo(400 * time.Millisecond))
	c.arrive()
	c.settle()
	c.act()
	c.askEarly()
	c.askTenant()
	c.answer()
}

func (c *churn) upTo(d time.Duration) time.Duration { return time.Duration(c.rng.Int64N(int64(d))) }

// askEarly asks about a moment ago, while its news may be on the way. It remembers the
// question to ask it again.
func (c *churn) askEarly() {
	q := question{addr: c.addrs[c.rng.IntN(len(c.addrs))], last: c.now - int64(c.upTo(time.Second))}
	q.first = q.last
	if c.rng.IntN(4) == 0 {
		q.first -= int64(c.upTo(time.Minute))
		c.tally.Windows++
	}
	q.firstWall, q.lastWall = c.wallAt(q.first), c.wallAt(q.last)
	c.questions = append(c.questions, q)
	e := c.ask(q)
	switch {
	case e.Kind == Unknown:
		c.tally.EarlyUnknown++
	case e.Kind == Pod && e.UID == c.ownerAt(q.addr, q.first) && e.UID == c.ownerAt(q.addr, q.last):
		c.tally.EarlyRight++
		c.countAnnounced(q, e)
	case e.Kind == Pod && c.hadNear(e.UID, q.addr, q.first, unclear) && c.hadNear(e.UID, q.addr, q.last, unclear):
		c.tally.EarlyOvertaken++ // its end was not reported yet
	case c.isOfTenant(q, e):
	default:
		c.tally.Wrong++
		c.t.Errorf("early: %v answered %+v, which was not near it: %v and %v", q, e, c.near(q.addr, q.first), c.near(q.addr, q.last))
	}
}

// ask asks the resolver. If the watch has been silent for too long, it sends a probe as the
// prober does.
func (c *churn) ask(q question) Endpoint {
	first, last := time.Unix(0, q.firstWall), time.Unix(0, q.lastWall)
	e, again := c.resolver.LookupBetween(q.addr, first, last)
	if again == 0 || !c.resolver.prober.wanted.Swap(false) {
		return e
	}
	c.tally.Stale++
	c.probe()
	e, _ = c.resolver.LookupBetween(q.addr, first, last)
	return e
}

// probe does what the prober does. Without news the API server does not answer.
func (c *churn) probe() {
	stream, ok := c.history.probing()
	switch {
	case !ok:
	case c.deaf.from != 0:
		c.history.unanswered(stream)
	default:
		c.history.probed(stream, c.wall())
		c.proof = c.now
	}
}

// answer asks the questions about which everything has been reported.
func (c *churn) answer() {
	for len(c.questions) > 0 && c.questions[0].last+int64(settled) <= c.now && c.deaf.from == 0 {
		q := c.questions[0]
		c.questions = c.questions[1:]
		c.check(q)
	}
}

func (c *churn) check(q question) {
	e := c.ask(q)
	if e.Kind != Unknown {
		c.checkNamed(q, e)
		return
	}
	truth := c.ownerAt(q.addr, q.last)
	near := c.near(q.addr, q.first)
	blind := c.inGap(q) || c.stepping || q.first-int64(skew) <= c.history.lost || c.endsUnsure(q)
	switch {
	case !blind && c.isPlain(q, truth):
		c.tally.Missed++
		c.t.Errorf("%v answered %+v, was %q of %v", q, e, truth, near)
	case e.Ambiguous && !blind && !c.calico && q.first == q.last && len(near) < 2:
		c.tally.Unfounded++
		c.t.Errorf("%v answered ambiguous, was %q of %v", q, truth, near)
	case e.Ambiguous:
		c.tally.Ambiguous++
	default:
		c.tally.Nobody++
	}
}

// checkNamed counts an answer that names a pod. That pod may have had the address a moment
// before or after.
func (c *churn) checkNamed(q question, e Endpoint) {
	switch {
	case c.isOfTenant(q, e):
	case e.Kind != Pod || c.isWrong(e.UID, q.addr, q.first) || c.isWrong(e.UID, q.addr, q.last):
		c.tally.Wrong++
		c.t.Errorf("%v answered %+v, was %v and %v", q, e, c.near(q.addr, q.first), c.near(q.addr, q.last))
	default:
		c.tally.Right++
		c.countAnnounced(q, e)
	}
}

func (c *churn) countAnnounced(q question, e Endpoint) {
	if c.toldAt(e.UID, q.addr) == 0 {
		c.tally.Announced++
	}
}

// finish lets all news arrive, and asks the remaining questions.
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

func (q question) String() string {
	return fmt.Sprintf("%v from %v to %v", q.addr, sinceNoon(q.first), sinceNoon(q.last))
}

func sinceNoon(at int64) time.Duration { return time.Duration(at - noon().UnixNano()) }
