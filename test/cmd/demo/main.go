// Command demo shows the main job of kube-nflog without a cluster: denied packets become
// events on the pods.
//
// It does this:
//
//  1. It builds and starts a real etcd and kube-apiserver.
//  2. It creates two pods, an outside host and a node between them. Pods are API objects,
//     and each has a network namespace with its addresses.
//  3. It adds rules to the node that log to NFLOG what they drop.
//  4. It runs the real kube-nflog on the node, with the rights of deploy/.
//  5. It sends traffic and prints what kubectl describe pod shows.
//
// Everything is in private namespaces and disappears with the process.
//
// Run it in the directory of the test module. It needs Go, and either root or a kernel that
// lets users create user namespaces.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// timeout limits everything after compiling.
const timeout = 2 * time.Minute

func main() {
	root := flag.String("root", "..", "the main module's directory")
	flag.Parse()
	code, err := start(*root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
	}
	os.Exit(code)
}

// start runs the outer or the inner process and returns its exit status.
func start(root string) (int, error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	p, err := newProgress(os.Stdout)
	if err != nil {
		return 1, err
	}
	d := &demo{root: root, bin: filepath.Join(root, "bin"), progress: p}
	code, err := netlab.Run(func() error { return d.build(ctx) }, func() int { return d.inside(ctx) })
	switch {
	case err != nil && ctx.Err() != nil:
		return 130, errors.New("interrupted")
	case err != nil:
		return 1, err
	}
	return code, nil
}

type demo struct {
	root, bin string
	progress  *progress
}

// controlPlaneDir and agentBinary are the paths of the compiled programs.
func (d *demo) controlPlaneDir() string { return filepath.Join(d.bin, "controlplane") }

func (d *demo) agentBinary() string { return filepath.Join(d.bin, "kube-nflog-test") }

// build compiles the programs. It runs before the lab, which cannot reach the module proxy.
func (d *demo) build(ctx context.Context) error {
	end := d.progress.step("building kube-nflog")
	if err := agent.Build(ctx, d.root, d.agentBinary()); err != nil {
		return err
	}
	end()
	end = d.progress.step("building etcd, kube-apiserver and kubectl (minutes the first time)")
	_, err := controlplane.Build(ctx, controlplane.BuildConfig{
		ModuleDir: filepath.Join(d.root, "test"), Dir: d.controlPlaneDir(),
		Progress: d.progress.compiled(),
	})
	if err != nil {
		return err
	}
	end()
	return nil
}

// inside runs the demo in the lab and cleans up, also if it is interrupted.
func (d *demo) inside(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := d.run(ctx)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything is cleaned up")
		return 130
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
	return 0
}

// explain returns what the agent knows, for the error if its events do not come.
func explain(ctx context.Context, a *agent.Agent) error {
	// The demo's own deadline may be over already.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	metrics, err := a.Metrics(ctx)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		if strings.HasPrefix(name, "kube_nflog_") {
			fmt.Fprintln(&b, metrics[name])
		}
	}
	return errors.Join(err, fmt.Errorf("kube-nflog's JSON lines:\n%s\nits metrics:\n%s\nits log:\n%s",
		strings.Join(a.RawLines(), "\n"), b.String(), a.Log()))
}

// run is the demo. Its steps are in the order in which they happen.
func (d *demo) run(ctx context.Context) (err error) {
	net, err := d.network()
	if err != nil {
		return err
	}
	cp, err := d.startControlPlane(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop("the API server and etcd", cp.Stop)) }()
	kubeconfig, err := d.createObjects(ctx, cp)
	if err != nil {
		return err
	}
	if err := d.addRules(net.node); err != nil {
		return err
	}
	a, err := d.startAgent(ctx, net, kubeconfig)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Kill()) }()
	sent, err := d.sendTraffic(ctx, net)
	if err != nil {
		return err
	}
	if err := d.awaitEvents(ctx, cp, sent); err != nil {
		return errors.Join(err, explain(ctx, a))
	}
	err = d.stop("kube-nflog with SIGTERM: it writes what is still pending", func() error { return a.Stop(ctx) })
	if err != nil {
		return err
	}
	if err := d.show(ctx, cp, a, sent); err != nil {
		return err
	}
	return d.ask(ctx, cp, kubeconfig)
}
