package resolve

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	askWorkers = 4
	// maxQuestions are the questions that wait for the limiter. It is short,
	// so that a question is still of interest when its turn comes.
	maxQuestions = 64
	maxAnswers   = 4096
)

// asker asks somebody slow about addresses: each at most once at a time, at a
// bounded rate, and remembers the answers, which are of type V. Its methods
// may be called concurrently, run once.
type asker[V any] struct {
	// ask answers one question, and says for how long the answer is good. It
	// has to end when ctx does.
	ask     func(ctx context.Context, addr netip.Addr) (V, time.Duration)
	timeout time.Duration
	limiter *rate.Limiter
	refused func()       // counts a question that found the queue full
	now     func() int64 // steady clock

	questions chan netip.Addr

	mu      sync.Mutex // guards what follows
	answers *memory[V]
	epoch   int                     // counts calls of forget
	asking  map[netip.Addr]struct{} // queued or under way
}

// answer says what an asker knows of an address.
type answer[V any] struct {
	value V
	known bool  // value is an answer, be it an old one
	until int64 // how long it is good, by the steady clock
}

func (a *asker[V]) init() {
	a.questions = make(chan netip.Addr, maxQuestions)
	a.answers = newMemory[V](maxAnswers)
	a.asking = map[netip.Addr]struct{}{}
}

// get returns what is known of addr.
func (a *asker[V]) get(addr netip.Addr) answer[V] {
	a.mu.Lock()
	defer a.mu.Unlock()
	e, ok := a.answers.get(addr)
	return answer[V]{e.value, ok, e.until}
}

// want asks about addr, if that can be done. It says whether the question is
// under way.
func (a *asker[V]) want(addr netip.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, already := a.asking[addr]; already {
		return true
	}
	select {
	case a.questions <- addr:
		a.asking[addr] = struct{}{}
		return true
	default:
		a.refused()
		return false
	}
}

// run asks until ctx ends.
func (a *asker[V]) run(ctx context.Context) {
	var group sync.WaitGroup
	for range askWorkers {
		group.Go(func() { a.work(ctx) })
	}
	group.Wait()
}

func (a *asker[V]) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case addr := <-a.questions:
			if a.limiter.Wait(ctx) != nil {
				return
			}
			a.answer(ctx, addr)
		}
	}
}

func (a *asker[V]) answer(ctx context.Context, addr netip.Addr) {
	limited, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	a.mu.Lock()
	epoch := a.epoch
	a.mu.Unlock()
	value, good := a.ask(limited, addr)
	a.mu.Lock()
	delete(a.asking, addr)
	if a.epoch == epoch {
		a.answers.put(addr, value, a.now()+int64(good))
	}
	a.mu.Unlock()
}

// forget forgets all answers, and those to questions under way.
func (a *asker[V]) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch++
	a.answers = newMemory[V](maxAnswers)
}
