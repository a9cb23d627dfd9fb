package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	compareFlows   = 1000
	comparePods    = 50
	comparePackets = 1000 // of each flow
	settleLimit    = 2 * time.Minute
	quiet          = 15 * time.Second // a recorder without a call for this long has finished
	quietLimit     = time.Minute
)

// compare plays the same flows through each sink.
func compare(ctx context.Context, o options) error {
	rows := [][]string{{"sink", "API writes", "per flow", "objects", "flows visible", "exact", "sum of counts", "truth", "visible p50", "p99", "settled after"}}
	for name := range strings.SplitSeq(o.sinks, ",") {
		row, err := compareOne(ctx, o, name)
		if err != nil {
			return err
		}
		progress(row)
		rows = append(rows, row)
	}
	table(fmt.Sprintf("compare: %d flows of %d packets over %d pods in %v, one Add or Event per flow and window; visible counts from the first Add",
		compareFlows, comparePackets, comparePods, o.duration), rows...)
	return nil
}

func compareOne(ctx context.Context, o options, name string) ([]string, error) {
	c, err := startCluster(ctx, o)
	if err != nil {
		return nil, err
	}
	defer c.close()
	seen, err := watchArrivals(ctx, c)
	if err != nil {
		return nil, err
	}
	defer seen.stop()
	var count calls
	s, err := newSink(name, c, &count)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	flows := podFlows(compareFlows, comparePods)
	began := time.Now()
	truth := play(ctx, s, flows, int(o.duration/window), comparePackets, func() {})
	ended := time.Now()
	settle(ctx, s, &count)
	settled := time.Since(ended)
	v, err := look(ctx, c, flows, comparePackets)
	if err != nil {
		return nil, err
	}
	all := seen.since(began, anyID)
	writes := count.all.Load()
	return []string{
		name, fmt.Sprint(writes), fmt.Sprintf("%.2f", float64(writes)/compareFlows), fmt.Sprint(v.objects), fmt.Sprint(v.flows), fmt.Sprint(v.exact),
		fmt.Sprint(v.sum), fmt.Sprint(truth), quantile(all, 0.5), quantile(all, 0.99), settled.Round(time.Second).String(),
	}, nil
}

// settle waits until a sink has written everything. The emitter tells when. A recorder
// has finished when it has made no call for a while, or it takes too long.
func settle(ctx context.Context, s sink, count *calls) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(settleLimit)
	began := time.Now()
	last, since := count.all.Load(), began
	for {
		if e, ok := s.(*emitterSink); ok {
			if e.metric("kube_nflog_event_packets_pending") == 0 {
				return
			}
		} else if time.Since(since) > quiet || time.Since(began) > quietLimit {
			return
		}
		if n := count.all.Load(); n != last {
			last, since = n, time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-limit:
			return
		case <-tick.C:
		}
	}
}
