package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	outageFlows  = 500
	outageBefore = 10 // windows before the API server stops
)

// outage stops the API server under load, and starts it again.
func outage(ctx context.Context, o options) error {
	rows := [][]string{{"sink", "goroutines before", "most in outage", "heap", "flows visible", "exact", "sum of counts", "truth", "caught up after"}}
	for name := range strings.SplitSeq(o.sinks, ",") {
		row, err := outageOne(ctx, o, name)
		if err != nil {
			return err
		}
		progress(row)
		rows = append(rows, row)
	}
	table(fmt.Sprintf("outage: %d flows over %d pods, one packet of each per second, the API server killed for %v", outageFlows, comparePods, o.duration), rows...)
	return nil
}

func outageOne(ctx context.Context, o options, name string) ([]string, error) {
	c, err := startCluster(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var count calls
	s, err := newSink(name, c, &count)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	flows := podFlows(outageFlows, comparePods)
	truth := play(ctx, s, flows, outageBefore, outageBefore, func() {})
	settle(ctx, s, &count)
	before := takeFootprint()
	if err := c.KillAPIServer(); err != nil {
		return nil, err
	}
	var most footprint
	windows := int(o.duration / window)
	truth += play(ctx, s, flows, windows, uint64(windows), func() { most = most.max(takeFootprint()) })
	if err := c.StartAPIServer(ctx); err != nil {
		return nil, err
	}
	back := time.Now()
	settle(ctx, s, &count)
	took := time.Since(back)
	v, err := look(ctx, c, flows, int64(truth)/outageFlows)
	if err != nil {
		return nil, err
	}
	return []string{
		name, fmt.Sprint(before.goroutines), fmt.Sprint(most.goroutines), mib(before.heap, most.heap),
		fmt.Sprint(v.flows), fmt.Sprint(v.exact), fmt.Sprint(v.sum), fmt.Sprint(truth), took.Round(100 * time.Millisecond).String(),
	}, nil
}
