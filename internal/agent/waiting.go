//go:build linux

package agent

import (
	"container/heap"
	"sync"
	"time"

	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
)

// maxWaiting bounds the flows of all groups that wait for their pods. Beyond it, flows
// are reported with what is known of them.
const maxWaiting = 4096

// waitingFlow is a flow with an end that may become known later.
type waitingFlow struct {
	flow     flow.Flow
	prefixes []dialect.PrefixInfo
	due      time.Time // when to resolve it again
}

// waitingFlows are the flows of a deliverer that wait, those that are due first in front.
// The deliverer takes them out. At the end, if the deliverer is stuck, the agent does: so
// there is a lock.
type waitingFlows struct {
	limit   int
	metrics waitingMetrics

	mu    sync.Mutex // guards flows
	flows dueFlows
}

// add keeps a flow until it is due. It reports false if there is no room, and counts that.
// A flow that was taken out a moment ago and still waits is added back with again.
func (w *waitingFlows) add(f waitingFlow, again bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.flows) >= w.limit && !again {
		w.metrics.overflow.Inc()
		return false
	}
	heap.Push(&w.flows, f)
	w.metrics.waiting.Inc()
	return true
}

// take returns a flow that is due at now, or any flow for a zero now.
func (w *waitingFlows) take(now time.Time) (f waitingFlow, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.flows) == 0 || !now.IsZero() && w.flows[0].due.After(now) {
		return waitingFlow{}, false
	}
	f, ok = heap.Pop(&w.flows).(waitingFlow)
	w.metrics.waiting.Dec()
	return f, ok
}

// next returns how long it takes until a flow is due.
func (w *waitingFlows) next(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.flows) == 0 {
		return time.Hour
	}
	return max(w.flows[0].due.Sub(now), time.Millisecond)
}

// dueFlows is a heap by due.
type dueFlows []waitingFlow

func (h dueFlows) Len() int           { return len(h) }
func (h dueFlows) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueFlows) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *dueFlows) Push(x any) {
	if f, ok := x.(waitingFlow); ok {
		*h = append(*h, f)
	}
}

// Pop implements heap.Interface. It gives the memory of a past peak back.
func (h *dueFlows) Pop() any {
	last := len(*h) - 1
	f := (*h)[last]
	(*h)[last] = waitingFlow{}
	if *h = (*h)[:last]; last == 0 {
		*h = nil
	}
	return f
}
