package event

import (
	"container/heap"
	"container/list"
	"math"
	"time"
)

// queueState is the state of an entry in the queue.
type queueState uint8

const (
	idle      queueState = iota // nothing to write
	scheduled                   // something to write later
	ready                       // something to write now
	inFlight                    // being written
)

// forever is the wait if nothing becomes due by itself.
const forever = time.Duration(math.MaxInt64)

// queue holds every entry by the time when it is to be written. An entry in flight is in
// none of the lists.
type queue struct {
	idle     list.List         // *eventEntry, idle for longest first
	timers   timerHeap         // scheduled, the earliest first
	active   []*involvedObject // objects with ready entries
	inFlight int
	// earlier reports whether something is due earlier than nextDue returned.
	earlier bool
}

// makeIdle queues an entry that has nothing to write. It will be forgotten later.
func (q *queue) makeIdle(e *eventEntry, now time.Time) {
	e.state = idle
	e.due = now.Add(forgetAfter)
	e.idleAt = q.idle.PushBack(e)
}

func (q *queue) setTimer(e *eventEntry, due time.Time) {
	e.state = scheduled
	e.due = due
	heap.Push(&q.timers, e)
	q.earlier = q.earlier || e.timerAt == 0
}

func (q *queue) makeReady(e *eventEntry) {
	o := e.object
	e.state = ready
	q.earlier = true
	o.pushReady(e)
	if o.activeAt < 0 {
		o.activeAt = len(q.active)
		q.active = append(q.active, o)
	}
}

// begin puts a ready entry in flight. end ends that when its response is there.
func (q *queue) begin(e *eventEntry) {
	q.remove(e)
	e.state = inFlight
	q.inFlight++
	e.object.inFlight++
}

// end records that a request was answered. The caller queues the entry again.
func (q *queue) end(e *eventEntry) {
	q.inFlight--
	e.object.inFlight--
}

// remove removes an entry from its list.
func (q *queue) remove(e *eventEntry) {
	switch e.state {
	case idle:
		q.idle.Remove(e.idleAt)
	case scheduled:
		heap.Remove(&q.timers, e.timerAt)
	case ready:
		e.object.dropReady(e)
		if len(e.object.ready) == 0 {
			q.deactivate(e.object)
		}
	}
}

// deactivate removes an object without ready entries from the active ones.
func (q *queue) deactivate(o *involvedObject) {
	last := len(q.active) - 1
	q.active[o.activeAt] = q.active[last]
	q.active[o.activeAt].activeAt = o.activeAt
	q.active[last] = nil
	q.active = q.active[:last]
	o.activeAt = -1
}

// popTimer removes and returns the earliest scheduled entry if it is due, else nil.
func (q *queue) popTimer(now time.Time) *eventEntry {
	if len(q.timers) == 0 || q.timers[0].due.After(now) {
		return nil
	}
	return heap.Pop(&q.timers).(*eventEntry)
}

// longestIdle returns the entry that has been idle for the longest time, nil if there is
// none.
func (q *queue) longestIdle() *eventEntry {
	if front := q.idle.Front(); front != nil {
		return front.Value.(*eventEntry)
	}
	return nil
}

// nextDue returns the time until a timer fires, or until an idle entry is to be forgotten.
func (q *queue) nextDue(now time.Time) time.Duration {
	q.earlier = false
	wait := forever
	if len(q.timers) > 0 {
		wait = max(0, q.timers[0].due.Sub(now))
	}
	if e := q.longestIdle(); e != nil {
		wait = min(wait, max(0, e.due.Sub(now)))
	}
	return wait
}

// readyEntries counts the entries that wait for a writer.
func (q *queue) readyEntries() int {
	n := 0
	for _, o := range q.active {
		n += len(o.ready)
	}
	return n
}

// timerHeap is a heap.Interface of scheduled entries.
type timerHeap []*eventEntry

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timerAt, h[j].timerAt = i, j
}

func (h *timerHeap) Push(x any) {
	e := x.(*eventEntry)
	e.timerAt = len(*h)
	*h = append(*h, e)
}

func (h *timerHeap) Pop() any {
	old := *h
	last := len(old) - 1
	e := old[last]
	old[last] = nil
	*h = old[:last]
	return e
}
