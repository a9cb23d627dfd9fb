// Command footprint measures the memory of an idle agent, as a memory limit sees it. The
// agent runs as in deploy/, in its own cgroup, with 100 pods on its node. The figure is
// the cgroup's memory.current less its inactive_file, which the kubelet uses as the
// container's working set. The command needs root and a memory controller of cgroup
// version 1 or 2.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

const (
	repository  = ".."
	deployment  = "../deploy"
	agentBinary = "../bin/kube-nflog-footprint"
	controlBin  = "../bin/controlplane"
	nodeName    = "node-1"
)

var nodeAddress = netip.MustParseAddr("10.20.0.1")

// options are the command line.
type options struct {
	pods   int
	settle time.Duration
}

func main() {
	var o options
	flag.IntVar(&o.pods, "pods", 100, "pods on the node, at most 250")
	flag.DurationVar(&o.settle, "settle", 30*time.Second, "how long the agent is left alone before it is measured")
	flag.Parse()
	code, err := netlab.Run(build, func() int {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		if err := o.run(ctx, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "footprint:", err)
			return 1
		}
		return 0
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
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

func (o *options) run(ctx context.Context, out io.Writer) (err error) {
	lab, err := netlab.NewLab()
	if err != nil {
		return err
	}
	node, err := lab.NewNode(nodeName, nodeAddress)
	if err != nil {
		return err
	}
	binaries, err := controlplane.Locate(controlBin)
	if err != nil {
		return err
	}
	plane, err := controlplane.Start(ctx, controlplane.Config{
		Binaries: binaries, Dir: filepath.Join(netlab.Scratch, "control"), Address: netlab.ControlAddress(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, plane.Stop()) }()
	kubeconfig, err := o.fill(ctx, plane)
	if err != nil {
		return err
	}
	return o.measure(ctx, out, node, kubeconfig)
}

// fill creates the node and its pods, and returns the agent's kubeconfig.
func (o *options) fill(ctx context.Context, plane *controlplane.ControlPlane) (kubeconfig string, err error) {
	if err := errors.Join(plane.CreateNode(ctx, nodeName, nodeAddress), plane.CreateNamespace(ctx, "crowd")); err != nil {
		return "", err
	}
	for i := range o.pods {
		_, err := plane.CreatePod(ctx, controlplane.Pod{
			Namespace: "crowd", Name: fmt.Sprintf("app-%d", i), Node: nodeName,
			Addresses:   []netip.Addr{netip.AddrFrom4([4]byte{10, 21, 0, byte(i)})},
			Labels:      map[string]string{"app.kubernetes.io/name": "app", "pod-template-hash": "5d4f8c7b9"},
			Annotations: map[string]string{"example.com/configuration": strings.Repeat("one of many words ", 300)},
		})
		if err != nil {
			return "", err
		}
	}
	account, err := plane.InstallAgent(ctx, deployment)
	if err != nil {
		return "", err
	}
	return plane.ServiceAccountKubeconfig(ctx, account)
}

// measure runs the agent in a cgroup and prints the memory of that cgroup.
func (o *options) measure(ctx context.Context, out io.Writer, node *netlab.Node, kubeconfig string) (err error) {
	group, err := newCgroup()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, group.remove()) }()
	if err := evict(agentBinary); err != nil {
		return err
	}
	a, err := agent.Start(agent.Config{
		Binary: agentBinary, Node: node.Namespace, NodeName: nodeName, Kubeconfig: kubeconfig,
		Args: []string{"--output", "none"}, Env: []string{"GOMEMLIMIT=536870912"}, Wrapper: group.wrapper(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Kill()) }()
	if err := a.WaitReady(ctx); err != nil {
		return err
	}
	for range 100 { // as probes and scrapes do
		if err := a.WaitReady(ctx); err != nil {
			return err
		}
		if _, err := a.Metrics(ctx); err != nil {
			return err
		}
	}
	select {
	case <-time.After(o.settle):
	case <-ctx.Done():
		return ctx.Err()
	}
	u, err := group.usage()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "an idle agent with %d pods, MiB:\n%s", o.pods, u)
	return nil
}
