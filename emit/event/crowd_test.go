package event

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// crowd is many agents that begin to write in one moment, each with its budget,
// at a server that answers one call each millisecond, in turn.
type crowd struct {
	now    time.Time
	agents []crowdAgent
	queue  []crowdCall
	served []int           // calls, by second
	first  []time.Duration // until an agent's first call was answered
}

type crowdAgent struct {
	budget       *budget
	left, flying int
	next         time.Time // when it is worth asking the budget
	answered     bool
}

type crowdCall struct {
	agent   *crowdAgent
	started time.Time
}

func newCrowd(agents, calls int) *crowd {
	c := &crowd{now: start, agents: make([]crowdAgent, agents)}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range c.agents {
		c.agents[i] = crowdAgent{budget: newBudget(50, 100), left: calls}
		c.agents[i].budget.random = rnd.Float64
	}
	return c
}

// tick lets a millisecond pass; false when there is nothing left to do.
func (c *crowd) tick() bool {
	c.now = c.now.Add(time.Millisecond)
	left := false
	for i := range c.agents {
		a := &c.agents[i]
		left = left || a.left > 0 || a.flying > 0
		for a.left > 0 && !a.next.After(c.now) && a.flying < a.budget.inFlight(4, c.now) {
			if w := a.budget.wait(c.now); w > 0 {
				a.next = c.now.Add(w)
				break
			}
			a.budget.spend(c.now)
			a.left--
			a.flying++
			c.queue = append(c.queue, crowdCall{a, c.now})
		}
	}
	if len(c.queue) > 0 {
		c.serve(c.queue[0])
		c.queue = c.queue[1:]
	}
	return left
}

func (c *crowd) serve(call crowdCall) {
	a, now := call.agent, c.now.Add(time.Millisecond)
	a.budget.succeeded(call.started, now)
	a.flying--
	a.next = now
	since := now.Sub(start)
	if !a.answered {
		a.answered = true
		c.first = append(c.first, since)
	}
	for len(c.served) <= int(since/time.Second) {
		c.served = append(c.served, 0)
	}
	c.served[since/time.Second]++
}

// TestCrowdLeavesRoom holds that agents which all begin in one moment, each
// knowing nothing but its own calls, soon leave the server time for others, and
// that none of them starves.
func TestCrowdLeavesRoom(t *testing.T) {
	c := newCrowd(1000, 6)
	for c.tick() {
	}
	if slowest := slices.Max(c.first); slowest > 2*time.Second {
		t.Errorf("the slowest agent's first call is answered after %v, want 2 s", slowest)
	}
	if len(c.served) > 25 {
		t.Errorf("all is written after %d s, want 25", len(c.served))
	}
	if busiest := slices.Max(c.served[2:]); busiest > 600 {
		t.Errorf("after the first two seconds the server takes up to %d of 1000 calls a second, want 600: %v", busiest, c.served)
	}
}

// TestCrowdOfOneIsQuick holds that an agent alone does not wait for a crowd.
func TestCrowdOfOneIsQuick(t *testing.T) {
	c := newCrowd(1, 20)
	for c.tick() {
	}
	if took := c.now.Sub(start); took > 2*time.Second {
		t.Errorf("20 calls take %v, want 2 s", took)
	}
}
