// Command policy measures whether changes of NetworkPolicies slow down the packet path.
// The real agent receives packets that a rule in the real kernel logs at a steady rate.
// It watches 1,000 policies of a real API server. 100 of them change each second, or
// none. The command prints both cases side by side, and the cost of the changes alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

const (
	repository  = ".."
	deployment  = "../deploy"
	agentBinary = "../bin/kube-nflog-test"
	controlBin  = "../bin/controlplane"
)

// options are the command line.
type options struct {
	packets, changes  int // a second
	policies, repeats int
	phase             time.Duration
}

func main() {
	var o options
	flag.IntVar(&o.packets, "packets", 20_000, "packets a second")
	flag.IntVar(&o.changes, "changes", 100, "changes of policies a second")
	flag.IntVar(&o.policies, "policies", 1000, "policies in the cluster")
	flag.IntVar(&o.repeats, "repeats", 3, "how often each phase is measured; the median counts")
	flag.DurationVar(&o.phase, "phase", 10*time.Second, "how long each phase takes")
	flag.Parse()
	code, err := netlab.Run(build, func() int {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		if err := o.run(ctx, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "policy:", err)
			return 1
		}
		return 0
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "policy:", err)
		code = 1
	}
	os.Exit(code)
}

// build compiles the programs. It runs before the lab, which cannot reach the module proxy.
func build() error {
	ctx := context.Background()
	if err := agent.Build(ctx, repository, agentBinary); err != nil {
		return err
	}
	_, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: ".", Dir: controlBin})
	return err
}

// phase says what happens while the agent is measured.
type phase struct {
	name             string
	packets, changes int // a second
}

func (o *options) run(ctx context.Context, out io.Writer) (err error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	phases := []phase{
		{"packets", o.packets, 0}, {"packets and changes", o.packets, o.changes}, {"changes", 0, o.changes},
	}
	all := make([][]figures, len(phases))
	for range o.repeats {
		for i, p := range phases {
			f, err := w.measure(ctx, p, o.phase)
			if err != nil {
				return err
			}
			all[i] = append(all[i], f)
		}
	}
	report(out, phases, all)
	return nil
}

// report prints the medians. It also compares the packet path with changes, minus the
// cost of the changes alone, with the packet path without changes.
func report(out io.Writer, phases []phase, all [][]figures) {
	var cpu [3]float64 // ms a second
	fmt.Fprintf(out, "%-20s %12s %12s %8s %16s\n", "", "packets/s", "changes/s", "lost", "agent's CPU ms/s")
	for i, p := range phases {
		cpu[i] = median(all[i], figures.cpuPerSecond)
		fmt.Fprintf(out, "%-20s %12.0f %12.1f %8.0f %16.2f\n", p.name,
			median(all[i], func(f figures) float64 { return float64(f.received) / f.took.Seconds() }),
			median(all[i], func(f figures) float64 { return float64(f.changed) / f.took.Seconds() }),
			sum(all[i], func(f figures) float64 { return float64(f.sent) - float64(f.received) }), cpu[i])
	}
	rate := float64(phases[0].packets) / 1000
	fmt.Fprintf(out, "\nCPU for a packet: %.2f µs without changes, %.2f µs with them, less their own %.2f ms/s: ratio %.2f\n",
		cpu[0]/rate, (cpu[1]-cpu[2])/rate, cpu[2], (cpu[1]-cpu[2])/cpu[0])
}

func median(all []figures, of func(figures) float64) float64 {
	var values []float64
	for _, f := range all {
		values = append(values, of(f))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func sum(all []figures, of func(figures) float64) (total float64) {
	for _, f := range all {
		total += of(f)
	}
	return total
}
