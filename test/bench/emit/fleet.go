package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	fleetPods    = 3 // of each agent
	fleetFlows   = 6 // of each agent
	fleetWindows = 30
	fleetSettle  = 2 * time.Minute
)

// fleet runs many emitters against one API server, all under the agent's one
// account, while another client goes on with its own work.
func fleet(ctx context.Context, o options) error {
	c, err := startCluster(ctx, o)
	if err != nil {
		return err
	}
	defer c.close()
	seen, err := watchArrivals(ctx, c)
	if err != nil {
		return err
	}
	defer seen.stop()
	other, err := c.otherClient(ctx)
	if err != nil {
		return err
	}
	idle := probe(ctx, other, 5*time.Second)

	var count calls
	agents, err := newFleet(c, &count, o.fleet)
	if err != nil {
		return err
	}
	defer stopFleet(agents)
	busy := make(chan []time.Duration, 1)
	probing, stopProbe := context.WithCancel(ctx)
	go func() { busy <- probe(probing, other, time.Hour) }()
	count.all.Store(0)
	began := time.Now()
	loadFleet(ctx, agents)
	all := waitFleet(ctx, seen, o.fleet*fleetFlows)
	took := time.Since(began)
	stopProbe()
	latency := <-busy
	perAgent := seen.firstPerAgent(began)
	whole := seen.since(began, anyID)
	table(fmt.Sprintf("fleet: %d emitters, each with %d flows over %d pods, all new in one moment and going on for %d s", o.fleet, fleetFlows, fleetPods, fleetWindows),
		[]string{"events visible", fmt.Sprintf("%d of %d", all, o.fleet*fleetFlows)},
		[]string{"calls", fmt.Sprintf("%d, %.0f/s", count.all.Load(), float64(count.all.Load())/took.Seconds())},
		[]string{"throttled (429)", fmt.Sprintf("%d, %.1f %%", count.throttled.Load(), 100*float64(count.throttled.Load())/float64(count.all.Load()))},
		[]string{"an agent's first event, p50 / p99 / slowest", quantile(perAgent, 0.5) + " / " + quantile(perAgent, 0.99) + " / " + quantile(perAgent, 1)},
		[]string{"a flow's first event, p50 / p99 / slowest", quantile(whole, 0.5) + " / " + quantile(whole, 0.99) + " / " + quantile(whole, 1)},
		[]string{"another client's request, idle p50 / p99", quantile(idle, 0.5) + " / " + quantile(idle, 0.99)},
		[]string{"another client's request, meanwhile p50 / p99", quantile(latency, 0.5) + " / " + quantile(latency, 0.99)})
	return nil
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

// otherClient is an ordinary user: no administrator, whom no limit binds.
func (c *cluster) otherClient(ctx context.Context) (*kubernetes.Clientset, error) {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "probe"}}
	if _, err := c.Client().CoreV1().ConfigMaps(namespace).Create(ctx, cm, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"create", "role", "-n", namespace, "other", "--verb=get,update", "--resource=configmaps"},
		{"create", "rolebinding", "-n", namespace, "other", "--role=other", "--user=other"},
	} {
		if _, err := c.Kubectl(ctx, args...); err != nil {
			return nil, err
		}
	}
	cfg := c.RESTConfig()
	cfg.Impersonate.UserName = "other"
	cfg.Impersonate.Groups = []string{"system:authenticated"}
	return kubernetes.NewForConfig(cfg)
}

// probe updates an object again and again, with a pause between, and returns
// the requests' durations, sorted.
func probe(ctx context.Context, client *kubernetes.Clientset, during time.Duration) []time.Duration {
	var all []time.Duration
	end := time.After(during)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			slices.Sort(all)
			return all
		case <-end:
			slices.Sort(all)
			return all
		case <-tick.C:
		}
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, Data: map[string]string{"n": fmt.Sprint(n)}}
		began := time.Now()
		if _, err := client.CoreV1().ConfigMaps(namespace).Update(ctx, cm, metav1.UpdateOptions{}); err == nil {
			all = append(all, time.Since(began))
		}
	}
}
