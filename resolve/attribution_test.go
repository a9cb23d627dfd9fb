package resolve

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// told is an index that gets reports of pods with one address, at times after noon.
type told struct {
	*ipHistory
	clock time.Duration
	known map[string]*pod
}

func newTold() *told {
	o := &told{known: map[string]*pod{}, clock: 5 * time.Minute}
	o.ipHistory = newHistory(2*time.Second, 5*time.Minute, "n1", func(netip.Addr) bool { return true },
		func() int64 { return o.nano() })
	watched(o.ipHistory, o.nano()-int64(time.Hour))
	return o
}

func aMinuteLater() time.Time { return noon().Add(time.Minute) }

// watched simulates a complete list, and then a watch that is proven.
func watched(o *ipHistory, now int64) {
	o.note(func(c *watchGaps) { c.listing(now) })
	o.note((*watchGaps).listed)
	o.note((*watchGaps).opened)
	proven(o, now)
}

// proven simulates a bookmark.
func proven(o *ipHistory, now int64) { o.note(func(c *watchGaps) { c.marked(now) }) }

// relist is watched at a time after noon.
func (o *told) relist(d time.Duration) { watched(o.ipHistory, noon().Add(d).UnixNano()) }

// prove simulates a bookmark at a time after noon.
func (o *told) prove(d time.Duration) { proven(o.ipHistory, noon().Add(d).UnixNano()) }

func (o *told) nano() int64 { return noon().Add(o.clock).UnixNano() }

// pod reports a pod on a node that has the address since from.
func (o *told) pod(name, node string, from time.Duration, changes ...func(*corev1.Pod)) {
	p := madePod(name, "10.0.0.5")
	p.Spec.NodeName = node
	p.Status.Conditions[0].LastTransitionTime = *at(from)
	for _, c := range changes {
		c(p)
	}
	now := newPod(p, "")
	o.set(o.known[name], now, o.nano())
	o.known[name] = now
}

func (o *told) gone(name string, d time.Duration, unseen bool) {
	if !unseen {
		o.prove(d)
	}
	o.remove(o.known[name], noon().Add(d).UnixNano(), unseen)
	delete(o.known, name)
}

func TestFind(t *testing.T) {
	ended := func(d time.Duration) func(*corev1.Pod) { return func(p *corev1.Pod) { finish(p, d) } }
	terminating := func(p *corev1.Pod) { p.DeletionTimestamp = at(time.Minute) }
	type asked struct {
		at   time.Duration
		want string // name of the pod, or "" for the answer
		v    ownerState
	}
	tests := map[string]struct {
		tell func(o *told)
		ask  []asked
	}{
		"nobody": {func(*told) {}, []asked{{0, "", ownerNone}}},
		"one": {func(o *told) { o.pod("a", "n1", 0) }, []asked{
			{-3 * time.Second, "", ownerNone}, {-time.Second, "a", ownerFound}, {5 * time.Minute, "a", ownerFound},
			{time.Hour, "", ownerAmbiguous},
		}},
		"finished": {func(o *told) { o.pod("a", "n1", 0, ended(time.Minute)) }, []asked{
			{30 * time.Second, "a", ownerFound}, {time.Minute + time.Second, "a", ownerFound}, {time.Minute + 3*time.Second, "", ownerNone},
		}},
		"being deleted goes on": {func(o *told) { o.pod("a", "n1", 0, terminating) }, []asked{{time.Minute, "a", ownerFound}}},
		"being deleted, a moment ago": {func(o *told) {
			o.pod("a", "n1", 0, terminating)
			o.clock = time.Minute + time.Second
		}, []asked{{time.Minute, "", ownerPending}, {30 * time.Second, "a", ownerFound}}},
		"deleted, a moment ago": {func(o *told) {
			o.clock = time.Minute
			o.pod("a", "n1", 0)
			o.gone("a", time.Minute, false)
			o.clock = time.Minute + 2*time.Second
		}, []asked{{30 * time.Second, "a", ownerFound}, {61 * time.Second, "", ownerPending}}},
		"reused": {func(o *told) {
			o.pod("a", "n1", 0, ended(time.Minute))
			o.pod("b", "n1", 61*time.Second)
		}, []asked{
			{50 * time.Second, "a", ownerFound}, {60 * time.Second, "", ownerAmbiguous}, {62 * time.Second, "", ownerAmbiguous},
			{64 * time.Second, "b", ownerFound},
		}},
		"deletion told late": {func(o *told) {
			o.pod("a", "n1", 0)
			o.pod("b", "n1", time.Minute)
			o.gone("a", 90*time.Second, false)
		}, []asked{{70 * time.Second, "b", ownerFound}, {60 * time.Second, "", ownerAmbiguous}}},
		"two live": {func(o *told) {
			o.pod("a", "n2", 0)
			o.pod("b", "n3", time.Minute)
		}, []asked{{30 * time.Second, "a", ownerFound}, {90 * time.Second, "", ownerAmbiguous}}},
		"two live, one here": {func(o *told) {
			o.pod("a", "n2", time.Minute)
			o.pod("b", "n1", 0)
		}, []asked{{90 * time.Second, "b", ownerFound}}},
		"two live here": {func(o *told) {
			o.pod("a", "n1", 0)
			o.pod("b", "n1", time.Minute)
		}, []asked{{90 * time.Second, "", ownerAmbiguous}}},
		"remade unseen": {func(o *told) {
			o.clock = 30 * time.Second
			o.pod("a", "n1", 0)
			o.prove(30 * time.Second)
			o.relist(time.Minute)
			o.clock = 5 * time.Minute
			o.pod("a", "n1", 50*time.Second, func(p *corev1.Pod) { p.UID = types.UID("uid-again") })
		}, []asked{{10 * time.Second, "a", ownerFound}, {40 * time.Second, "", ownerAmbiguous}, {53 * time.Second, "a", ownerFound}}},
		"list found it gone": {func(o *told) {
			o.clock = 30 * time.Second
			o.pod("a", "n1", 0)
			o.prove(30 * time.Second)
			o.relist(time.Minute)
			o.gone("a", time.Minute, true)
			o.clock = 5 * time.Minute
		}, []asked{{20 * time.Second, "a", ownerFound}, {45 * time.Second, "", ownerAmbiguous}, {70 * time.Second, "", ownerNone}}},
		"another may have come and gone unseen": {func(o *told) {
			o.prove(0)
			o.relist(time.Minute)
			o.pod("b", "n1", time.Minute)
		}, []asked{{59 * time.Second, "", ownerAmbiguous}, {63 * time.Second, "b", ownerFound}}},
		"address given up": {func(o *told) {
			o.pod("a", "n1", 0)
			o.prove(5 * time.Minute)
			o.pod("a", "n1", 0, func(p *corev1.Pod) { p.Status.PodIP, p.Status.PodIPs = "", nil })
		}, []asked{{time.Minute, "a", ownerFound}, {5*time.Minute + 3*time.Second, "", ownerNone}}},
		"old news of a deleted pod": {func(o *told) {
			o.pod("a", "n1", 0)
			o.gone("a", time.Minute, false)
			o.pod("a", "n1", 0)
		}, []asked{{30 * time.Second, "a", ownerFound}, {2 * time.Minute, "", ownerNone}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := newTold()
			tt.tell(o)
			proven(o.ipHistory, o.nano())
			for _, a := range tt.ask {
				p, v := o.find(addr("10.0.0.5"), noon().Add(a.at).UnixNano())
				got := ""
				if p != nil {
					got = p.name()
				}
				if got != a.want || v != a.v {
					t.Errorf("at %v: pod %q, answer %v, want %q, %v", a.at, got, v, a.want, a.v)
				}
			}
		})
	}
}

// TestFindKnowsItDoesNotKnowAll checks answers if not all pods are watched. Then it is not
// enough that no other owner is known: one may be unknown.
func TestFindKnowsItDoesNotKnowAll(t *testing.T) {
	o := newTold()
	o.whole = func(netip.Addr) bool { return false }
	o.pod("a", "n1", 0)
	proven(o.ipHistory, o.nano())
	for d, want := range map[time.Duration]ownerState{-time.Second: ownerAmbiguous, time.Second: ownerAmbiguous, 3 * time.Second: ownerFound} {
		if _, v := o.find(addr("10.0.0.5"), noon().Add(d).UnixNano()); v != want {
			t.Errorf("at %v: answer %v, want %v", d, v, want)
		}
	}
}

// TestDeletionKeepsTheStart checks that after a step of the clock a pod has its address
// since the report of it, and not since its time stamp. Its deletion brings the time stamp
// again, also if another pod has the address too.
func TestDeletionKeepsTheStart(t *testing.T) {
	o := newTold()
	o.stepped(o.nano(), o.nano(), int64(time.Hour))
	o.clock = 6 * time.Minute
	o.prove(o.clock)
	o.pod("a", "n2", 0)
	o.pod("b", "n3", 5*time.Minute+30*time.Second)
	last := madePod("b", "10.0.0.5")
	last.Status.Conditions[0].LastTransitionTime = *at(5*time.Minute + 30*time.Second)
	o.clock = 7 * time.Minute
	o.prove(o.clock)
	o.remove(newPod(last, ""), o.nano(), false)
	if p, v := o.find(addr("10.0.0.5"), noon().Add(5*time.Minute+40*time.Second).UnixNano()); p != nil {
		t.Errorf("before anything was told: pod %q, answer %v, want no pod", p.name(), v)
	}
}

func TestEndedOwnersAreForgotten(t *testing.T) {
	o := newTold()
	o.pod("a", "n1", 0)
	o.gone("a", 5*time.Minute, false)
	o.clock = 9 * time.Minute
	o.pod("b", "n1", 9*time.Minute)
	if _, ended, _ := o.size(); ended != 1 {
		t.Errorf("%d ended owners after 4 minutes, want 1", ended)
	}
	o.clock = 11 * time.Minute
	o.pod("b", "n1", 9*time.Minute)
	if live, ended, evicted := o.size(); live != 1 || ended != 0 || evicted != 0 || len(o.more) != 0 {
		t.Errorf("after 6 minutes: %d live, %d ended, %d evicted, %d in more, want 1, 0, 0, 0", live, ended, evicted, len(o.more))
	}
}

func TestEndedOwnersAreBounded(t *testing.T) {
	o := newTold()
	for i := range maxEnded + 10 {
		p := newPod(madePod("p", numbered(i).String()), "")
		o.set(nil, p, o.nano())
		o.remove(p, o.nano(), false)
	}
	if _, ended, evicted := o.size(); ended != maxEnded || evicted != 10 || len(o.more) != maxEnded {
		t.Errorf("%d ended, %d evicted, %d in more, want %d, 10, %[4]d", ended, evicted, len(o.more), maxEnded)
	}
	for i := range maxAssignments + 5 {
		o.pod("x", "n1", 0, func(p *corev1.Pod) { p.UID = types.UID(numbered(i).String()) })
	}
	if n := len(o.more[addr("10.0.0.5")]); n != maxAssignments {
		t.Errorf("%d claims of one address, want %d", n, maxAssignments)
	}
}
