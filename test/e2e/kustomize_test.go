//go:build e2e

package e2e

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// firstEvent is the time from kubectl apply to the event of a denied packet.
const firstEvent = 30 * time.Second

// TestKustomize installs deploy/ on a cluster where traffic is denied already, runs watch
// and doctor, changes the agent to a privileged one for Calico, and deletes it.
func TestKustomize(t *testing.T) {
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	s := fromEnvironment(t)
	k := kubectl{path: s.kubectl}
	n := findNode(ctx, t, k, s)
	d := startDenied(ctx, t, k, n, s)

	dir := overlay(t, s.image)
	prepare(ctx, t, k, func() error { return uninstall(k, dir) })
	applied := time.Now()
	k.must(ctx, t, "apply", "-k", dir)
	d.expectEvent(ctx, t, k, firstEvent, 0)
	t.Logf("from kubectl apply to the first event: %s", time.Since(applied).Round(100*time.Millisecond))
	rollout(ctx, t, k)
	checkProbes(ctx, t, k)
	checkArguments(ctx, t, k, n, `["run","--listen=:19090"]`)
	checkWatch(ctx, t, k, n, d)
	checkDoctor(ctx, t, k, n, d)

	change(t, dir, s.image, "components: ["+filepath.Join(deploy(t, dir), "components/calico")+", "+
		filepath.Join(deploy(t, dir), "components/privileged")+"]\n")
	k.must(ctx, t, "apply", "-k", dir)
	rollout(ctx, t, k)
	checkArguments(ctx, t, k, n, `["run","--listen=:19090","--dialect=calico"]`)
	checkMetrics(ctx, t, k, n)
	d.expectEvent(ctx, t, k, time.Minute, d.expectEvent(ctx, t, k, time.Minute, 0))

	if err := uninstall(k, dir); err != nil {
		t.Fatal(err)
	}
	if err := n.allow(ctx); err != nil {
		t.Fatal(err)
	}
	expectNoResidue(ctx, t, k, n)
}

// checkProbes looks for probes that the kubelet sent before the agent listened. They would
// leave a Warning event on its pod at each start.
func checkProbes(ctx context.Context, t *testing.T, k kubectl) {
	t.Helper()
	failed := k.must(ctx, t, "get", "events", "-n", "kube-nflog", "--field-selector", "reason=Unhealthy", "-o", "jsonpath={.items[*].message}")
	if strings.Contains(failed, "connection refused") {
		t.Errorf("a probe found nobody listening: %s", failed)
	}
}
