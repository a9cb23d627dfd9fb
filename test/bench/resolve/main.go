// Command resolve measures package resolve in a large synthetic cluster and with a real
// API server, and compares it with an informer that keeps whole objects. It prints a
// table, or JSON with -json. The exit status is 1 if a bar is missed.
//
// Each cache is filled in its own process, and another process serves the synthetic
// cluster, so that the memory of each can be measured.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/coreapi"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// options are the command line.
type options struct {
	cluster  cluster
	real     int
	scan     time.Duration
	json     string
	binaries string
	module   string

	child      string // the role of this process, if a parent started it
	url        string
	kubeconfig string
}

func run(ctx context.Context, args []string, out io.Writer) int {
	var o options
	flags := flag.NewFlagSet("resolve", flag.ContinueOnError)
	flags.IntVar(&o.cluster.pods, "pods", 150_000, "pods of the synthetic cluster")
	flags.IntVar(&o.cluster.nodes, "nodes", 5_000, "nodes of the synthetic cluster")
	flags.IntVar(&o.real, "real", 20_000, "pods in the real API server, 0 for no such part")
	flags.DurationVar(&o.scan, "scan", 30*time.Second, "how long unknown addresses are looked up")
	flags.StringVar(&o.json, "json", "", "file to write the figures to")
	flags.StringVar(&o.binaries, "binaries", "../bin/controlplane", "where the control plane is built")
	flags.StringVar(&o.module, "module", ".", "directory of the test module")
	flags.StringVar(&o.child, "child", "", "used internally")
	flags.StringVar(&o.url, "url", "", "used internally")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "used internally")
	if flags.Parse(args) != nil {
		return 2
	}
	o.cluster.started = time.Now().Add(-time.Hour)
	if err := o.do(ctx, out); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "resolve:", err)
		return 1
	}
	return 0
}

func (o *options) do(ctx context.Context, out io.Writer) error {
	switch o.child {
	case "":
		return o.bench(ctx, out)
	case "serve":
		return serve(ctx, o.cluster, out)
	case "scan":
		return o.scanUnknown(ctx, out)
	}
	m, err := o.measureAs(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(m)
}

// measureAs measures this process in the role that its parent gave it.
func (o *options) measureAs(ctx context.Context) (measured, error) {
	client, err := coreapi.Client(o.url, o.kubeconfig)
	if err != nil {
		return measured{}, err
	}
	pods, keep := o.cluster.pods, func(int) bool { return true }
	cfg := resolve.Config{}
	start := func() (lookup, error) { return startResolver(ctx, cfg, client) }
	switch o.child {
	case "node":
		cfg.Scope, cfg.NodeName = resolve.NodeScope, nodeName(0)
		pods = o.cluster.pods / o.cluster.nodes
		keep = func(i int) bool { return o.cluster.nodeOf(i) == 0 }
	case "plain":
		start = func() (lookup, error) { return startPlain(ctx, client) }
	}
	return measure(pods, shuffled(o.cluster, 10_000, keep), start)
}
