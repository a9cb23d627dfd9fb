// Command emit measures the emitter with a real kube-apiserver and etcd, compares it with
// client-go's two event recorders, and prints one table for each scenario:
//
//	compare  one million drops in 1,000 flows over 50 pods in 60 s
//	outage   500 flows over 50 pods, the API server away for 60 s
//	scan     50,000 sources against one pod with 20 quiet neighbours
//	latency  a new flow every 50 ms, from the emitter on
//	packet   the first packets of new flows, from the kernel on
//	rates    new events at fixed rates, and another client's latency at each
//	fleet    many emitters, each with its own connection, one API server
//
// Usage, from the test module's directory:
//
//	go run ./bench/emit [-fleet 1000] [scenario …]
//
// Everything is real, except for the flows and the endpoints. The program asserts
// nothing: people read the figures.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

type options struct {
	module, binaries, deploy string
	fleet                    int
	duration                 time.Duration
	sinks                    string
}

func main() {
	var o options
	flag.StringVar(&o.module, "module", ".", "directory of the test module")
	flag.StringVar(&o.binaries, "binaries", "../bin/controlplane", "where the control plane's binaries are, or go")
	flag.StringVar(&o.deploy, "deploy", "../deploy", "the kustomization that gives the agent its rights")
	flag.IntVar(&o.fleet, "fleet", 1000, "emitters in the fleet scenario")
	flag.DurationVar(&o.duration, "duration", time.Minute, "how long compare's load and outage's outage last")
	flag.StringVar(&o.sinks, "sinks", "kube-nflog,tools/record,tools/events", "what compare and outage measure")
	flag.Parse()
	if err := start(o, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench emit:", err)
		os.Exit(1)
	}
}

func start(o options, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "probe": // the other client, which a fleet starts
		return probe(args[1])
	case len(args) == 0:
		args = []string{"compare", "outage", "scan", "latency", "packet", "fleet"}
	}
	return runAll(args, o)
}

func runAll(scenarios []string, o options) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	for _, s := range scenarios {
		if err := run(ctx, s, o); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func run(ctx context.Context, scenario string, o options) error {
	scenarios := map[string]func(context.Context, options) error{
		"compare": compare, "outage": outage, "scan": scan, "latency": latency, "rates": rates, "fleet": fleet,
		"packet":        func(ctx context.Context, _ options) error { return again(ctx, "packet-inside") },
		"packet-inside": firstPacket,
	}
	for _, s := range fleetSettings() {
		scenarios[s.name] = fleetIn(s)
	}
	measure, ok := scenarios[scenario]
	if !ok {
		return fmt.Errorf("no such scenario")
	}
	return measure(ctx, o)
}

// cluster is a fresh control plane.
type cluster struct {
	*controlplane.ControlPlane
	dir   string
	agent string // path of the agent's kubeconfig
}

func startCluster(ctx context.Context, o options) (*cluster, error) {
	bin, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: o.module, Dir: o.binaries})
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-emit-")
	if err != nil {
		return nil, err
	}
	return startClusterAt(ctx, o, controlplane.Config{Binaries: bin, Dir: dir})
}

func startClusterAt(ctx context.Context, o options, cfg controlplane.Config) (*cluster, error) {
	cp, err := controlplane.Start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c := &cluster{ControlPlane: cp, dir: cfg.Dir}
	if err := c.prepare(ctx, o); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// prepare creates the agent's account and the namespace for the load.
func (c *cluster) prepare(ctx context.Context, o options) error {
	account, err := c.InstallAgent(ctx, o.deploy)
	if err != nil {
		return err
	}
	if c.agent, err = c.ServiceAccountKubeconfig(ctx, account); err != nil {
		return err
	}
	return c.CreateNamespace(ctx, namespace)
}

// sleep waits for d, or returns ctx's error.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func (c *cluster) close() {
	if err := c.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "bench emit:", err)
	}
	if err := os.RemoveAll(c.dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench emit:", err)
	}
}
