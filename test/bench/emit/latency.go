package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

const latencyFlows = 600

// latency gives the emitter a new flow every 50 ms and measures until a watcher sees its
// event. The window of the flow stage and the kernel's flush timeout are not included.
func latency(ctx context.Context, o options) error {
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
	var count calls
	s, err := newEmitterSink(c, &count, "n1")
	if err != nil {
		return err
	}
	defer s.stop()
	flows := podFlows(latencyFlows, comparePods)
	added := map[string]time.Time{}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := range flows {
		added[flows[i].id()] = time.Now()
		s.add(&flows[i], 1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	settle(ctx, s, &count)
	var all []time.Duration
	seen.mu.Lock()
	for id, at := range seen.seen {
		all = append(all, at.Sub(added[id]))
	}
	seen.mu.Unlock()
	slices.Sort(all)
	table(fmt.Sprintf("latency: %d new flows over %d pods, 20 a second, from Add to a watcher", latencyFlows, comparePods),
		[]string{"events visible", fmt.Sprintf("%d of %d", len(all), latencyFlows)},
		[]string{"p50 / p99 / slowest", quantile(all, 0.5) + " / " + quantile(all, 0.99) + " / " + quantile(all, 1)})
	return nil
}
