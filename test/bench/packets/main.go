package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// options are what the flags say.
type options struct {
	root      string
	rounds    int
	scenarios string
	readers   string
	duration  time.Duration
	flood     int
	idle      time.Duration
	pin       bool
	json      string
}

func main() {
	o := &options{}
	flag.StringVar(&o.root, "root", "..", "the main module's directory")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each reader is measured in each scenario")
	flag.StringVar(&o.scenarios, "scenario", "", "scenarios, with commas between; empty for all: "+strings.Join(scenarioNames(), ", "))
	flag.StringVar(&o.readers, "readers", "", "readers, with commas between; empty for all: "+strings.Join(readerNames(), ", "))
	flag.DurationVar(&o.duration, "duration", 2*time.Second, "how long the paced scenarios send")
	flag.IntVar(&o.flood, "flood", 1_500_000, "packets that the floods send")
	flag.DurationVar(&o.idle, "idle", 2*time.Minute, "how long kube-nflog is watched without traffic; 0 for not; Go collects garbage every two minutes")
	flag.BoolVar(&o.pin, "pin", true, "keep readers off the generator's CPU")
	flag.StringVar(&o.json, "json", "", "file to write the results to")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	code, err := netlab.Run(func() error { return o.build(ctx) }, func() int { return o.inside(ctx) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "packets:", err)
		code = 1
	}
	cancel()
	os.Exit(code) //nolint:gocritic // cancel has been called
}

func (o *options) binary(name string) string {
	return filepath.Join(o.root, "test", "bin", "bench", name)
}

// inside measures in the lab and prints.
func (o *options) inside(ctx context.Context) int {
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "packets:", err)
		return 1
	}
	return 0
}

func (o *options) run(ctx context.Context) error {
	plan, err := newPlan(o)
	if err != nil {
		return err
	}
	lab, err := newLab()
	if err != nil {
		return err
	}
	b := &bench{lab: lab, progress: os.Stderr}
	if o.pin {
		b.readerCPUs = lab.generator.otherCPUs()
	}
	report, err := b.run(ctx, plan)
	if err != nil {
		return err
	}
	if err := report.print(os.Stdout); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if o.json == "" {
		return nil
	}
	return report.write(o.json)
}
