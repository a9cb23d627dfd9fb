//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/signal"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/helm"
)

const (
	release = "kube-nflog"
	chart   = "../../deploy/helm/kube-nflog"
)

// TestHelm installs the chart, upgrades it with other values, rolls it back and
// uninstalls it.
func TestHelm(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	s := fromEnvironment(t)
	k := kubectl{path: s.kubectl}
	n := findNode(ctx, t, k, s)
	d := startDenied(ctx, t, k, n, s)

	h := helm.Helm{Path: s.helm, Kubeconfig: s.kubeconfig, Dir: t.TempDir()}
	uninstall := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		_, err := h.Run(ctx, "uninstall", release, "--wait", "--ignore-not-found")
		return err
	}
	prepare(ctx, t, k, uninstall)
	// helm's --wait accepts a DaemonSet that lacks one agent. So with one node it returns
	// at once.
	run := func(args ...string) {
		t.Helper()
		if _, err := h.Run(ctx, args...); err != nil {
			t.Fatal(err)
		}
	}
	name, tag := split(s.image)
	installed := time.Now()
	run("install", release, chart, "--set", "image.repository="+name, "--set", "image.tag="+tag)
	d.expectEvent(ctx, t, k, firstEvent, 0)
	t.Logf("from helm install to the first event: %s", time.Since(installed).Round(100*time.Millisecond))
	rollout(ctx, t, k)
	checkArguments(ctx, t, k, n, `["run","--listen=:19090"]`)
	checkMetrics(ctx, t, k, n)

	run("upgrade", release, chart, "--reuse-values",
		"--set", "flags.group={100,101},port=19091,flowSchema.enabled=true")
	rollout(ctx, t, k)
	checkArguments(ctx, t, k, n, `["run","--listen=:19091","--group=100","--group=101"]`)
	checkMetrics(ctx, t, k, n)
	k.must(ctx, t, "get", "flowschema/kube-nflog-events", "prioritylevelconfiguration/kube-nflog-events")

	run("rollback", release, "1")
	rollout(ctx, t, k)
	checkArguments(ctx, t, k, n, `["run","--listen=:19090"]`)
	if left := k.must(ctx, t, "get", "flowschema/kube-nflog-events", "--ignore-not-found", "-o", "name"); left != "" {
		t.Errorf("the rollback leaves %s", left)
	}
	d.expectEvent(ctx, t, k, time.Minute, d.expectEvent(ctx, t, k, time.Minute, 0))

	if err := uninstall(); err != nil {
		t.Fatal(err)
	}
	if err := n.allow(ctx); err != nil {
		t.Fatal(err)
	}
	expectNoResidue(ctx, t, k, n)
}
