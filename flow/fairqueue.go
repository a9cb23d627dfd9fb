package flow

// fairQueue is the queue of a window's early flows: first one flow of each of this node's
// pods, then the second of each, and so on. It keeps one pod's flood of new flows from
// delaying those of another pod.
type fairQueue struct {
	pods        []podQueue
	byAddress   map[address]int32
	first, last int32 // pods that have early flows, linked by podQueue.next
}

// podQueue is what one of this node's pods has in a window. A flow is charged to the pod
// that sends it, or otherwise to the one that receives it.
type podQueue struct {
	first, last int32 // its early flows: entries of the current window, linked by entry.next
	next        int32 // the next pod that has early flows
	reserved    int32 // entries that it has in the reserve
}

const (
	// end ends a chain of entries or of pods.
	end = -1
	// shared is the number of the queue of flows without a local pod, and of those of
	// the pods beyond maxPods.
	shared  = 0
	maxPods = 1024
)

// The reserve is room for flows beyond Config.MaxFlows: a quarter as many. Each pod may
// use one part in 256 of it, which is 64 flows by default. So a pod's flood of new flows
// cannot displace all flows of another pod.
const (
	reservePart = 4
	sharePart   = 256
)

func newFairQueue() fairQueue {
	q := fairQueue{byAddress: make(map[address]int32)}
	q.reset()
	return q
}

// reset removes all pods but the shared one.
func (q *fairQueue) reset() {
	q.pods = append(q.pods[:0], podQueue{first: end, last: end, next: end})
	clear(q.byAddress)
	q.first, q.last = end, end
}

// pod returns the number of the pod with an address.
func (q *fairQueue) pod(a address) int32 {
	number, ok := q.byAddress[a]
	if !ok {
		if len(q.pods) == maxPods {
			return shared
		}
		number = int32(len(q.pods))
		q.pods = append(q.pods, podQueue{first: end, last: end, next: end})
		q.byAddress[a] = number
	}
	return number
}

// any reports whether there are early flows.
func (q *fairQueue) any() bool { return q.first != end }

// push queues an early flow of a pod. It gets the number of the flow's entry.
func (q *fairQueue) push(entries *slab[entry], number, pod int32) {
	entries.at(int(number)).next = end
	p := &q.pods[pod]
	if p.first == end {
		p.first = number
		q.append(pod)
	} else {
		entries.at(int(p.last)).next = number
	}
	p.last = number
}

// pop removes the next early flow.
func (q *fairQueue) pop(entries *slab[entry]) *entry {
	pod := q.first
	p := &q.pods[pod]
	q.first = p.next
	if q.first == end {
		q.last = end
	}
	e := entries.at(int(p.first))
	p.first = e.next
	if p.first != end {
		q.append(pod)
	}
	return e
}

// append puts a pod at the end of those that have early flows.
func (q *fairQueue) append(pod int32) {
	q.pods[pod].next = end
	if q.last == end {
		q.first = pod
	} else {
		q.pods[q.last].next = pod
	}
	q.last = pod
}

// podOf returns the number of the pod that a flow is charged to. It calls Config.Local
// once or twice.
func (t *Table) podOf(k *key) int32 {
	switch {
	case t.cfg.Local == nil:
		return shared
	case t.cfg.Local(k.sourceAddr()):
		return t.fair.pod(k.source)
	case t.cfg.Local(k.destinationAddr()):
		return t.fair.pod(k.destination)
	}
	return shared
}

// reserve returns how many flows a window may hold beyond MaxFlows.
func (c *Config) reserve() int { return c.MaxFlows / reservePart }

// takeReserve reports whether a flow may have an entry although the window holds MaxFlows
// already, because its pod has not used up its share of the reserve.
func (t *Table) takeReserve(k *key) bool {
	reserve := t.cfg.reserve()
	share := int32(reserve / sharePart)
	if share == 0 || t.reserved >= reserve {
		return false
	}
	pod := t.podOf(k)
	if pod == shared || t.fair.pods[pod].reserved >= share {
		return false
	}
	t.fair.pods[pod].reserved++
	t.reserved++
	return true
}
