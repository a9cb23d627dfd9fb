package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/coreapi"
)

// scanUnknown runs an agent in node scope that sees a new unknown address every 0.1 ms,
// and holds as many flows as it can.
func (o *options) scanUnknown(ctx context.Context, out io.Writer) error {
	client, err := coreapi.Client(o.url, o.kubeconfig)
	if err != nil {
		return err
	}
	r, err := resolve.New(resolve.Config{
		Scope: resolve.NodeScope, NodeName: nodeName(0), PeerLookup: true, PeerQPS: scanQPS, PeerBurst: scanBurst,
	}, client)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()
	if err := r.WaitSynced(ctx); err != nil {
		return err
	}
	runtime.LockOSThread()
	used, err := threadTime()
	if err != nil {
		return err
	}
	began, done := time.Now(), 0
	tick(ctx, o.scan, func(due int) {
		for ; done < due; done++ {
			addr := netip.AddrFrom4([4]byte{172, 16 + byte(done>>16), byte(done >> 8), byte(done)})
			now := time.Now()
			r.Lookup(addr, now)
		}
	})
	took := time.Since(began)
	now, err := threadTime()
	if err != nil {
		return err
	}
	return scanned{
		Seconds: took.Seconds(), Rate: float64(done) / took.Seconds(), Lookups: done,
		NsPerLookup: float64(now-used) / float64(max(done, 1)),
	}.print(out)
}

// podLists returns how many lists of pods the API server has answered, by its own metric.
func podLists(ctx context.Context, client *kubernetes.Clientset) (float64, error) {
	text, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the API server's metrics: %w", err)
	}
	var sum float64
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if !strings.HasPrefix(line, "apiserver_request_total{") || !strings.Contains(line, `resource="pods"`) || !strings.Contains(line, `verb="LIST"`) {
			continue
		}
		value, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("read the API server's metrics: %w", err)
		}
		sum += value
	}
	return sum, lines.Err()
}
