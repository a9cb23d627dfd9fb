package event

import (
	"container/heap"
	"time"
)

// timers holds entries by when they are due, the earliest first.
type timers struct{ h timerHeap }

func (t *timers) push(r *eventEntry) { heap.Push(&t.h, r) }

func (t *timers) remove(r *eventEntry) { heap.Remove(&t.h, r.timerAt) }

// next returns when the earliest entry is due; false for none.
func (t *timers) next() (time.Time, bool) {
	if len(t.h) == 0 {
		return time.Time{}, false
	}
	return t.h[0].due, true
}

// pop returns the earliest entry if it is due, else nil.
func (t *timers) pop(now time.Time) *eventEntry {
	if len(t.h) == 0 || t.h[0].due.After(now) {
		return nil
	}
	return heap.Pop(&t.h).(*eventEntry)
}

func (t *timers) len() int { return len(t.h) }

type timerHeap []*eventEntry

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].timerAt, h[j].timerAt = i, j
}

func (h *timerHeap) Push(x any) {
	r := x.(*eventEntry)
	r.timerAt = len(*h)
	*h = append(*h, r)
}

func (h *timerHeap) Pop() any {
	old := *h
	last := len(old) - 1
	r := old[last]
	old[last] = nil
	*h = old[:last]
	return r
}
