package main

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	fleetPods    = 3 // of each agent
	fleetFlows   = 6 // of each agent
	fleetWindows = 30
	fleetPhases  = 20
	fleetIdle    = 30 * time.Second // the other client alone, for several garbage collections
	fleetSettle  = 5 * time.Minute
)

// fleet runs many emitters against one API server, all with the agent's account, while
// another client does its own work. It does so in each setting.
func fleet(ctx context.Context, _ options) error {
	for _, s := range fleetSettings() {
		if err := again(ctx, s.name); err != nil {
			return err
		}
	}
	return nil
}

// fleetSetting says when a fleet's flows begin and how the API server is configured.
type fleetSetting struct {
	name   string
	fair   bool          // with deploy/flowschema
	within time.Duration // the time in which the agents' flows begin; 0: all in one moment
}

func fleetSettings() []fleetSetting {
	return []fleetSetting{
		{name: "fleet-plain"},
		{name: "fleet-fair", fair: true},
		// As when a policy reaches one node after another, and clients retry after a while.
		{name: "fleet-within", within: 20 * time.Second},
		{name: "fleet-within-fair", within: 20 * time.Second, fair: true},
	}
}

func (s *fleetSetting) title() string {
	title := "all new in one moment"
	if s.within > 0 {
		title = fmt.Sprintf("new within %v", s.within)
	}
	if s.fair {
		return title + ", deploy/flowschema applied"
	}
	return title + ", the API server's own priority and fairness"
}

func fleetIn(s fleetSetting) func(context.Context, options) error {
	return func(ctx context.Context, o options) error { return fleetOnce(ctx, o, s) }
}

func fleetOnce(ctx context.Context, o options, s fleetSetting) error {
	c, err := startCluster(ctx, o)
	if err != nil {
		return err
	}
	defer c.close()
	if s.fair {
		if _, err := c.Kubectl(ctx, "apply", "-k", o.deploy+"/flowschema"); err != nil {
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
	m, err := measureFleet(ctx, agents, s.within, seen, &count)
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
	table(fmt.Sprintf("fleet: %d emitters, each with %d flows over %d pods that go on for %d s; %s", size, fleetFlows, fleetPods, fleetWindows, s.title()),
		[]string{"events visible", fmt.Sprintf("%d of %d", m.visible, size*fleetFlows)},
		[]string{"calls", fmt.Sprintf("%d, %.0f/s", m.calls, float64(m.calls)/m.ended.Sub(m.began).Seconds())},
		[]string{"throttled (429)", fmt.Sprintf("%d, %.1f %%", m.throttled, 100*float64(m.throttled)/float64(m.calls))},
		[]string{"the last agent's first call leaves after", round(time.Unix(0, count.lastFirst.Load()).Sub(m.began))},
		[]string{"an agent's first event, p50 / p99 / slowest", quantiles(m.perAgent)},
		[]string{"a flow's first event, p50 / p99 / slowest", quantiles(m.perFlow)},
		[]string{"another client's request, idle p50 / p99 / slowest", quantiles(idle)},
		[]string{"until all first events are visible", quantiles(first)},
		[]string{"the whole time", quantiles(whole)},
		[]string{"CPUs busy until then", m.cpu})
	return nil
}

// measured is the result of one setting.
type measured struct {
	began, ended      time.Time
	started           []time.Time   // each agent's first flows
	firstEvents       time.Duration // until all were visible
	visible           int
	calls, throttled  int64
	perAgent, perFlow []time.Duration
	cpu               string // until all first events were visible
}

func measureFleet(ctx context.Context, agents []*emitterSink, within time.Duration, seen *arrivals, count *calls) (measured, error) {
	before, err := takeCPU()
	if err != nil {
		return measured{}, err
	}
	count.all.Store(0)
	m := measured{began: time.Now(), started: make([]time.Time, len(agents))}
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		loadFleet(ctx, agents, within, m.started)
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
	m.perAgent, m.perFlow = seen.afterStart(m.started)
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
		// A real agent has an open connection, because it watches pods. This opens one.
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

// loadFleet gives every agent its flows, window by window. It fills in started.
func loadFleet(ctx context.Context, agents []*emitterSink, within time.Duration, started []time.Time) {
	phases := 1 // parts of a window, in which agents take turns
	if within > 0 {
		phases = fleetPhases
	}
	tick := time.NewTicker(window / time.Duration(phases))
	defer tick.Stop()
	last := int(within / window)
	for turn := range (last + fleetWindows) * phases {
		if ctx.Err() != nil {
			return
		}
		loadTurn(agents, turn/phases, turn%phases, phases, last, started)
		<-tick.C
	}
}

// loadTurn gives the agents of one phase of a window their flows, if their flows have
// begun. Each agent's flows begin in one of the windows up to the last.
func loadTurn(agents []*emitterSink, w, phase, phases, last int, started []time.Time) {
	var all sync.WaitGroup
	for shard := range 2 {
		all.Go(func() {
			for i := shard; i < len(agents); i += 2 {
				begins := i / phases % max(1, last)
				if i%phases != phase || w < begins || w >= begins+fleetWindows {
					continue
				}
				if w == begins {
					started[i] = time.Now()
				}
				for n := range fleetFlows {
					f := fleetFlow(i, n)
					agents[i].add(&f, 1)
				}
			}
		})
	}
	all.Wait()
}

func fleetFlow(agent, n int) oneFlow {
	name := fmt.Sprintf("pod-%05d-%d", agent, n%fleetPods)
	peer := podEndpoint(fmt.Sprintf("peer-%d", n), netip.AddrFrom4([4]byte{10, 2, 0, byte(n)}))
	peer.UID = ""
	return oneFlow{src: peer, port: 8080, dst: podEndpoint(name, netip.AddrFrom4([4]byte{10, 1, byte(agent), byte(n)}))}
}

// waitFleet waits until the wanted number of events is visible, and returns the number.
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

// afterStart returns how long after the start of an agent's flows its first event was
// visible, and how long after it each of its flows had an event, both sorted.
func (a *arrivals) afterStart(started []time.Time) (perAgent, perFlow []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := map[int]time.Duration{}
	for id, at := range a.seen {
		var agent int
		if _, err := fmt.Sscanf(id, "pod-%05d-", &agent); err != nil {
			continue
		}
		d := at.Sub(started[agent])
		perFlow = append(perFlow, d)
		if known, ok := first[agent]; !ok || d < known {
			first[agent] = d
		}
	}
	perAgent = slices.Sorted(maps.Values(first))
	slices.Sort(perFlow)
	return perAgent, perFlow
}
