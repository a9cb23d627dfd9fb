package resolve

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"sort"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// livePod is a pod of the random cluster, as its API server knows it.
type livePod struct {
	object  *corev1.Pod
	node    int
	addr    netip.Addr // invalid before it has one
	owns    bool       // it has the address in truth
	hostile bool       // it belongs to the tenant
	status  int64      // when its status will have the address, 0 if not planned
	release int64      // when it will give the address back, 0 if not planned
	remove  int64      // when it will be deleted, 0 if not planned
}

// news is a watch event that has not arrived yet.
type news struct {
	arrives int64
	key     string
	object  *corev1.Pod
	deleted bool
}

// act makes one random change in the cluster.
func (c *churn) act() {
	switch n := c.rng.IntN(100); {
	case n < 20 && len(c.pods) < 16:
		c.create(c.rng.IntN(4) == 0)
	case n < 50:
		c.assign()
	case n < 58:
		c.finishPod()
	case n < 68:
		c.terminate()
	case n < 72:
		c.force()
	case n < 74:
		c.breakWatch()
	case n < 75 && c.stepping && c.rng.IntN(4) == 0:
		c.stepClock()
	case n >= 80 && n < 83:
		c.lie()
	case n == 90:
		c.claimByService()
	case n == 91:
		c.removeIdle()
	}
}

// create creates a pod. Some pods have the name of a deleted one.
func (c *churn) create(hostile bool) {
	c.serial++
	namespace, name := "shop", fmt.Sprintf("pod-%d", c.serial)
	if hostile {
		namespace = tenantNamespace
	}
	if c.rng.IntN(3) == 0 {
		name = fmt.Sprintf("db-%d", c.rng.IntN(4))
	}
	if slices.ContainsFunc(c.pods, func(p *livePod) bool { return p.object.Name == name }) {
		return
	}
	node := c.rng.IntN(len(c.drifts))
	p := &livePod{node: node, hostile: hostile, object: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(fmt.Sprintf("%s-%d", namespace, c.serial)), Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{NodeName: fmt.Sprintf("n%d", node)},
		Status:     corev1.PodStatus{Phase: corev1.PodPending, StartTime: c.stamp(node, 0)},
	}}
	c.pods = append(c.pods, p)
	c.tally.Pods++
	c.tell(p)
}

// stamp returns the time d from now, in whole seconds of the node's clock.
func (c *churn) stamp(node int, d time.Duration) *metav1.Time {
	now := c.now
	if node == 0 {
		now = c.wallAt(now)
	}
	return &metav1.Time{Time: time.Unix(0, now).Add(d + c.drifts[node]).Truncate(time.Second)}
}

// stepClock makes this node's clock wrong, or right again.
func (c *churn) stepClock() {
	by := int64(c.upTo(2*time.Hour) - time.Hour)
	if c.rng.IntN(2) == 0 {
		by = 0
	}
	c.offsets = append(c.offsets, offset{c.now, by})
	c.offsets = c.offsets[max(0, len(c.offsets)-64):]
	c.tally.ClockSteps++
}

// any returns a random pod that meets the condition, or nil.
func (c *churn) any(meets func(*livePod) bool) *livePod {
	if len(c.pods) == 0 {
		return nil
	}
	start := c.rng.IntN(len(c.pods))
	for i := range c.pods {
		if p := c.pods[(start+i)%len(c.pods)]; meets(p) {
			return p
		}
	}
	return nil
}

func running(p *livePod) bool { return p.owns && p.release == 0 && p.remove == 0 }

// assign gives a pod a free address. Another pod may have had it a moment ago.
func (c *churn) assign() {
	p := c.any(func(p *livePod) bool { return !p.addr.IsValid() && p.remove == 0 })
	addr := c.addrs[c.rng.IntN(len(c.addrs))]
	if p == nil || c.ownerAt(addr, c.now) != "" {
		return
	}
	if before := c.truth[addr]; len(before) > 0 && c.now-before[len(before)-1].to < int64(3*time.Second) {
		c.tally.Reuses++
	}
	p.addr, p.owns = addr, true
	c.truth[addr] = append(c.recent(addr), owning{uid: string(p.object.UID), from: c.now, to: math.MaxInt64 / 2})
	if c.calico && c.rng.IntN(2) == 0 {
		p.status = c.now + int64(c.upTo(20*time.Second)) // the kubelet may wait for images
	} else {
		c.writeStatus(p)
	}
	if c.calico {
		p.object.Annotations[annotationCalico] = addr.String() + "/32"
		p.object.Annotations["cni.projectcalico.org/podIP"] = addr.String() + "/32"
	}
	c.tell(p)
}

// writeStatus writes a pod's address into its status.
func (c *churn) writeStatus(p *livePod) {
	p.status = 0
	p.object.Status.Phase = corev1.PodRunning
	p.object.Status.PodIPs = []corev1.PodIP{{IP: p.addr.String()}}
	p.object.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue,
		LastTransitionTime: *c.stamp(p.node, c.upTo(200*time.Millisecond)),
	}}
	all := c.truth[p.addr]
	for i := range all {
		if all[i].uid == string(p.object.UID) {
			all[i].told = c.now
		}
	}
}

// recent returns the true owners of addr, without those about which no question will be
// asked any more.
func (c *churn) recent(addr netip.Addr) []owning {
	return slices.DeleteFunc(c.truth[addr], func(o owning) bool { return o.to < c.now-int64(6*time.Minute) })
}

// finishPod ends a pod's containers. Its status keeps the address.
func (c *churn) finishPod() {
	p := c.any(running)
	if p == nil {
		return
	}
	c.writeStatus(p)
	c.giveBack(p)
	p.object.Status.Phase = corev1.PodSucceeded
	p.object.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{FinishedAt: *c.stamp(p.node, 0)},
	}}}
	p.remove = c.now + int64(c.upTo(20*time.Second))
	c.tell(p)
}

// terminate deletes a pod with its grace period: after some time it gives its address back,
// and a moment later it is gone.
func (c *churn) terminate() {
	p := c.any(running)
	if p == nil {
		return
	}
	p.object.DeletionTimestamp = c.stamp(p.node, 5*time.Second)
	p.release = c.now + int64(c.upTo(6*time.Second))
	p.remove = p.release + int64(c.upTo(time.Second))
	c.tell(p)
}

// force deletes a pod at once. It has its address for a moment longer.
func (c *churn) force() {
	p := c.any(running)
	if p == nil {
		return
	}
	c.gone(p)
	p.release, p.remove = c.now+int64(c.upTo(400*time.Millisecond)), math.MaxInt64
}

// settle makes the planned changes whose time has come.
func (c *churn) settle() {
	for _, p := range slices.Clone(c.pods) {
		c.settleAddress(p)
		switch {
		case p.remove == math.MaxInt64 && !p.owns:
			c.drop(p)
		case p.remove != 0 && p.remove <= c.now:
			c.gone(p)
			c.drop(p)
		}
	}
	if c.deaf.from != 0 && c.deaf.to <= c.now {
		c.mendWatch()
	}
}

// settleAddress writes the status of a pod, or takes its address back.
func (c *churn) settleAddress(p *livePod) {
	exists := p.remove != math.MaxInt64 // it exists in the API
	if exists && p.status != 0 && p.status <= c.now {
		c.writeStatus(p)
		c.tell(p)
	}
	if p.owns && p.release != 0 && p.release <= c.now {
		c.giveBack(p)
		if exists && c.calico {
			c.tell(p)
		}
	}
}

func (c *churn) giveBack(p *livePod) {
	p.owns, p.status = false, 0
	all := c.truth[p.addr]
	all[len(all)-1].to = c.now
	if c.calico {
		p.object.Annotations[annotationCalico], p.object.Annotations["cni.projectcalico.org/podIP"] = "", ""
	}
}

func (c *churn) drop(p *livePod) {
	c.pods = slices.DeleteFunc(c.pods, func(other *livePod) bool { return other == p })
}

// tell sends a pod's new state as a watch event; gone sends its deletion.
func (c *churn) tell(p *livePod) { c.send(p, false) }
func (c *churn) gone(p *livePod) { c.send(p, true) }

func (c *churn) send(p *livePod, deleted bool) {
	c.version++
	p.object.ResourceVersion = fmt.Sprint(c.version)
	object := p.object.DeepCopy()
	key := object.Namespace + "/" + object.Name
	arrives := max(c.arrival[key], c.now+int64(c.upTo(lateness)))
	c.arrival[key] = arrives
	c.news = append(c.news, news{arrives, key, object, deleted})
	sort.SliceStable(c.news, func(i, j int) bool { return c.news[i].arrives < c.news[j].arrives })
}

// arrive gives the news whose time has come to the index, as the informer does.
func (c *churn) arrive() {
	for len(c.news) > 0 && c.news[0].arrives <= c.now && c.deaf.from == 0 {
		n := c.news[0]
		c.news = c.news[1:]
		c.tally.Late++
		c.take(n)
	}
}

func (c *churn) take(n news) {
	var err error
	if n.deleted {
		err = c.store.Delete(n.object)
	} else {
		err = c.store.Add(n.object)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if c.now-c.proof <= int64(skew) {
		c.proof = c.now
	}
}

// breakWatch stops the news for a while: either nobody knows that the watch hangs, or the
// watch ends.
func (c *churn) breakWatch() {
	if c.deaf.from != 0 {
		return
	}
	c.deaf = owning{from: c.now, to: c.now + int64(c.upTo(15*time.Second))}
	if c.silent = c.rng.IntN(2) == 0; c.silent {
		if c.rng.IntN(8) == 0 {
			c.deaf.to += int64(c.upTo(2 * time.Minute))
		}
		c.tally.Stalls++
		return
	}
	c.history.note((*watchGaps).closed)
}

// mendWatch ends the time without news: a hanging watch continues, or an ended watch is
// resumed or replaced by a list. Nobody can know that everything since the last proof was
// sent, and that proof may be long before.
func (c *churn) mendWatch() {
	c.truth[netip.Addr{}] = append(c.recent(netip.Addr{}), owning{from: min(c.deaf.from, c.proof), to: c.now})
	n := c.rng.IntN(3)
	if n == 0 {
		if c.silent {
			c.history.note((*watchGaps).closed)
		}
		c.relist()
		return
	}
	if n == 1 { // a 200, and some time later a 410
		c.history.note((*watchGaps).closed)
		c.history.note((*watchGaps).opened)
		c.tally.Gone++
		for range 3 {
			c.askEarly()
		}
		c.history.note((*watchGaps).closed)
		c.relist()
		return
	}
	if !c.silent {
		c.history.note((*watchGaps).opened)
		c.tally.Resumes++
	}
	backlog := c.news // changes until now; they come all at once
	c.news = nil
	for _, n := range backlog {
		c.take(n)
		c.askEarly() // still without news: a probe would return after the news
	}
	c.deaf = owning{}
	c.probe()
}

// relist replaces a broken watch by a list, as the informer does.
func (c *churn) relist() {
	c.deaf, c.news = owning{}, nil
	c.tally.Relists++
	watching{c.resolver}.listing()
	var list []any
	for _, p := range c.pods {
		if p.remove != math.MaxInt64 { // not deleted by force
			list = append(list, p.object.DeepCopy())
		}
	}
	if err := c.store.Replace(list, ""); err != nil {
		c.t.Fatal(err)
	}
	c.history.note((*watchGaps).opened)
	c.probe()
}
