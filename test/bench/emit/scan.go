package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/resolve"
)

const (
	scanSources    = 50_000
	scanNeighbours = 20
)

// scan sends packets from many sources to one pod for a minute. Other pods on the same
// node have little traffic.
func scan(ctx context.Context, o options) error {
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

	sources := scanFlows()
	began := time.Now()
	var quietAt time.Time
	perWindow := len(sources) / 10
	tick := time.NewTicker(window)
	defer tick.Stop()
	for w := range 60 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for i := range perWindow {
			s.add(&sources[(w*perWindow+i)%len(sources)], 1)
		}
		if w == 5 {
			quietAt = time.Now()
			for i := range scanNeighbours {
				quiet := oneFlow{src: sources[i].src, port: 443, dst: podEndpoint(fmt.Sprintf("quiet-%02d", i), netip.AddrFrom4([4]byte{10, 1, 1, byte(i)}))}
				s.add(&quiet, 1)
			}
		}
		<-tick.C
	}
	writes := count.all.Load()
	neighbours := seen.since(quietAt, func(id string) bool { return strings.HasPrefix(id, "quiet-") })
	text, err := rollupText(ctx, c)
	if err != nil {
		return err
	}
	table(fmt.Sprintf("scan: %d packets a second from %d sources at one pod for %v, %d quiet neighbours", perWindow, scanSources, time.Since(began).Round(time.Second), scanNeighbours),
		[]string{"writes for the scanned pod in the first minute", fmt.Sprint(writes - int64(len(neighbours)))},
		[]string{"neighbours with their event", fmt.Sprintf("%d of %d", len(neighbours), scanNeighbours)},
		[]string{"slowest neighbour's event after", quantile(neighbours, 1)},
		[]string{"the aggregate says", text})
	return nil
}

func scanFlows() []oneFlow {
	victim := podEndpoint("victim", netip.AddrFrom4([4]byte{10, 1, 2, 1}))
	flows := make([]oneFlow, scanSources)
	for i := range flows {
		addr := netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)})
		flows[i] = oneFlow{src: resolve.Endpoint{IP: addr, Kind: resolve.External}, dst: victim, port: uint16(22 + i%3)}
	}
	return flows
}

func rollupText(ctx context.Context, c *cluster) (string, error) {
	list, err := c.Client().CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=victim"})
	if err != nil {
		return "", err
	}
	for i := range list.Items {
		if strings.Contains(list.Items[i].Message, " sources ") {
			return list.Items[i].Message, nil
		}
	}
	return "(none)", nil
}
