// Package deploy tests what deploy/ installs: that the Helm chart and the
// kustomizations give the same objects, by the real helm and kubectl, and that a
// real API server takes them. What then runs is tested on a cluster, by e2e.
package deploy

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/helm"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// Where things are; tests run in this folder.
const (
	base       = "../../deploy"
	overlays   = base + "/overlays"
	chart      = base + "/helm/kube-nflog"
	helmBinary = "../../bin/helm"
	controlBin = "../../bin/controlplane"
)

// world is what the tests of this package share.
type world struct {
	*controlplane.ControlPlane

	helm helm.Helm
}

// shared is set by TestMain before any test runs.
var shared world

// TestMain has an API server that takes privileged containers.
func TestMain(m *testing.M) {
	os.Exit(system.RunPlane(m, "../..", shared.prepare, "--allow-privileged=true"))
}

func (w *world) prepare(ctx context.Context, cp *controlplane.ControlPlane, dir string) error {
	w.ControlPlane, w.helm = cp, helm.Helm{Path: helmBinary, Dir: dir}
	return helm.Build(ctx, "../tools", helmBinary)
}

// testContext ends with the test, or when that takes too long.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// names are the overlays.
func names(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(overlays)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	if len(all) < 5 {
		t.Fatalf("only the overlays %q are there", all)
	}
	return all
}

// kustomized is what kubectl kustomize prints of a folder.
func kustomized(ctx context.Context, t *testing.T, dir string) string {
	t.Helper()
	out, err := shared.Kubectl(ctx, "kustomize", dir)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rendered is what helm makes of the chart with these arguments.
func rendered(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	out, err := shared.helm.Run(ctx, append([]string{"template", "kube-nflog", chart}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// valuesOf are the arguments that give helm an overlay's values.
func valuesOf(overlay string) []string {
	return []string{"--values", filepath.Join(overlays, overlay, "values.yaml")}
}
