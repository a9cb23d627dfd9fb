package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	fleetPods    = 3 // of each agent
	fleetFlows   = 6 // of each agent
	fleetWindows = 30
	fleetIdle    = 10 * time.Second // of the other client alone
	fleetSettle  = 5 * time.Minute
)

// fleet runs many emitters against one API server, all under the agent's one
// account, while another client goes on with its own work: first as the API
// server treats them by itself, then with deploy/fairness.
func fleet(ctx context.Context, _ options) error {
	if err := again(ctx, "fleet-plain"); err != nil {
		return err
	}
	return again(ctx, "fleet-fair")
}

func fleetOnce(ctx context.Context, o options, fair bool) error {
	c, err := startCluster(ctx, o)
	if err != nil {
		return err
	}
	defer c.close()
	title := "the API server's own priority and fairness"
	if fair {
		title = "deploy/fairness applied"
		if _, err := c.Kubectl(ctx, "apply", "-k", o.deploy+"/fairness"); err != nil {
			return err
		}
	}
	seen, err := watchArrivals(ctx, c)
	if err != nil {
		return err
	}
	defer seen.stop()
	var count calls
	agents, err := newFleet(c, &count, o.fleet)
	if err != nil {
		return err
	}
	defer stopFleet(agents)
	other, err := startProber(ctx, c)
	if err != nil {
		return err
	}
	idleFrom := time.Now()
	if err := sleep(ctx, fleetIdle); err != nil {
		return err
	}
	if err := stepAside(); err != nil {
		return err
	}
	m, err := measureFleet(ctx, agents, seen, &count)
	if err != nil {
		return err
	}
	requests, err := other.end()
	if err != nil {
		return err
	}
	idle := between(requests, idleFrom, m.began)
	first := between(requests, m.began, m.began.Add(m.firstEvents))
	whole := between(requests, m.began, m.ended)
	size := len(agents)
	table(fmt.Sprintf("fleet: %d emitters, each with %d flows over %d pods, all new in one moment and going on for %d s; %s", size, fleetFlows, fleetPods, fleetWindows, title),
		[]string{"events visible", fmt.Sprintf("%d of %d", m.visible, size*fleetFlows)},
		[]string{"calls", fmt.Sprintf("%d, %.0f/s", m.calls, float64(m.calls)/m.ended.Sub(m.began).Seconds())},
		[]string{"throttled (429)", fmt.Sprintf("%d, %.1f %%", m.throttled, 100*float64(m.throttled)/float64(m.calls))},
		[]string{"an agent's first event, p50 / p99 / slowest", quantiles(m.perAgent)},
		[]string{"a flow's first event, p50 / p99 / slowest", quantiles(m.perFlow)},
		[]string{"another client's request, idle p50 / p99 / slowest", quantiles(idle)},
		[]string{"until all first events are visible", quantiles(first)},
		[]string{"the whole time", quantiles(whole)},
		[]string{"CPUs busy until then", m.cpu})
	return nil
}

// measured is what a fleet did.
type measured struct {
	began, ended      time.Time
	firstEvents       time.Duration // until all were visible
	visible           int
	calls, throttled  int64
	perAgent, perFlow []time.Duration
	cpu               string // until all first events were visible
}

func measureFleet(ctx context.Context, agents []*emitterSink, seen *arrivals, count *calls) (measured, error) {
	before, err := takeCPU()
	if err != nil {
		return measured{}, err
	}
	count.all.Store(0)
	m := measured{began: time.Now()}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		loadFleet(ctx, agents)
	}()
	m.visible = waitFleet(ctx, seen, len(agents)*fleetFlows)
	m.firstEvents = time.Since(m.began)
	after, err := takeCPU()
	if err != nil {
		return measured{}, err
	}
	m.cpu = after.since(before, m.firstEvents)
	<-loaded
	m.ended = time.Now()
	m.calls, m.throttled = count.all.Load(), count.throttled.Load()
	m.perAgent, m.perFlow = seen.firstPerAgent(m.began), seen.since(m.began, anyID)
	return m, nil
}

func newFleet(c *cluster, count *calls, size int) ([]*emitterSink, error) {
	var agents []*emitterSink
	for i := range size {
		s, err := newEmitterSink(c, count, fmt.Sprintf("n%d", i))
		if err != nil {
			stopFleet(agents)
			return nil, err
		}
		agents = append(agents, s)
		// An agent's watch of pods keeps a connection open; here it is this.
		if err := s.client.Get().AbsPath("/version").Do(context.Background()).Error(); err != nil {
			stopFleet(agents)
			return nil, err
		}
	}
	return agents, nil
}

func stopFleet(agents []*emitterSink) {
	for _, s := range agents {
		s.stop()
	}
}

// loadFleet gives every agent its flows, window by window.
func loadFleet(ctx context.Context, agents []*emitterSink) {
	tick := time.NewTicker(window)
	defer tick.Stop()
	for range fleetWindows {
		if ctx.Err() != nil {
			return
		}
		var all sync.WaitGroup
		for shard := range 2 {
			all.Go(func() {
				for i := shard; i < len(agents); i += 2 {
					for n := range fleetFlows {
						f := fleetFlow(i, n)
						agents[i].add(&f, 1)
					}
				}
			})
		}
		all.Wait()
		<-tick.C
	}
}

func fleetFlow(agent, n int) oneFlow {
	name := fmt.Sprintf("pod-%05d-%d", agent, n%fleetPods)
	peer := podEndpoint(fmt.Sprintf("peer-%d", n), netip.AddrFrom4([4]byte{10, 2, 0, byte(n)}))
	peer.UID = ""
	return oneFlow{src: peer, port: 8080, dst: podEndpoint(name, netip.AddrFrom4([4]byte{10, 1, byte(agent), byte(n)}))}
}

// waitFleet waits until so many events are visible, and returns how many are.
func waitFleet(ctx context.Context, seen *arrivals, want int) int {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(fleetSettle)
	for {
		n := len(seen.since(time.Time{}, anyID))
		if n >= want {
			return n
		}
		select {
		case <-ctx.Done():
			return n
		case <-limit:
			return n
		case <-tick.C:
		}
	}
}

// firstPerAgent returns when each agent's first event came, sorted.
func (a *arrivals) firstPerAgent(began time.Time) []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := map[string]time.Duration{}
	for id, at := range a.seen {
		agent := id[:len("pod-00000")]
		if d := at.Sub(began); first[agent] == 0 || d < first[agent] {
			first[agent] = d
		}
	}
	var all []time.Duration
	for _, d := range first {
		all = append(all, d)
	}
	slices.Sort(all)
	return all
}
