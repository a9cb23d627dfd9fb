// Package deploy tests what deploy/ installs. With the real helm and kubectl, the Helm
// chart and the kustomizations must render the same objects, and a real API server must
// accept them. The package e2e tests the running agent on a cluster.
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

// Paths, from this folder.
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

// TestMain starts an API server that accepts privileged containers.
func TestMain(m *testing.M) {
	os.Exit(system.RunPlane(m, "../..", shared.prepare, "--allow-privileged=true"))
}

func (w *world) prepare(ctx context.Context, cp *controlplane.ControlPlane, dir string) error {
	w.ControlPlane, w.helm = cp, helm.Helm{Path: helmBinary, Dir: dir}
	return helm.Build(ctx, "../tools", helmBinary)
}

// testContext returns a context that ends with the test, or after a time limit.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// names returns the names of the overlays.
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

// kustomized returns the output of kubectl kustomize for a folder.
func kustomized(ctx context.Context, t *testing.T, dir string) string {
	t.Helper()
	out, err := shared.Kubectl(ctx, "kustomize", dir)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rendered returns the objects that helm renders with these arguments.
func rendered(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	out, err := shared.helm.Run(ctx, append([]string{"template", "kube-nflog", chart}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// valuesOf returns the arguments that give helm an overlay's values.
func valuesOf(overlay string) []string {
	return []string{"--values", filepath.Join(overlays, overlay, "values.yaml")}
}
