// Package deploy tests what deploy/ installs: that the Helm chart and the
// kustomizations give the same objects, by the real helm and kubectl, and that a
// real API server takes them. What then runs is tested on a cluster, by e2e.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/controlplane"
	"github.com/kube-nflog/kube-nflog/test/helm"
)

// Where things are; tests run in this folder.
const (
	base       = "../../deploy"
	overlays   = base + "/overlays"
	chart      = base + "/helm/kube-nflog"
	helmBinary = "../../bin/helm"
	controlBin = "../../bin/controlplane"
)

// system is what the tests of this package share.
type system struct {
	*controlplane.ControlPlane

	helm helm.Helm
}

// shared is set by TestMain before any test runs.
var shared system

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "deploy")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := start(dir); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, shared.Stop()) }()
	return m.Run(), nil
}

func start(dir string) error {
	ctx := context.Background()
	if err := helm.Build(ctx, "../tools", helmBinary); err != nil {
		return err
	}
	binaries, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: "..", Dir: controlBin})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// Without --allow-privileged the API server takes no privileged container.
	shared.ControlPlane, err = controlplane.Start(ctx, controlplane.Config{
		Binaries: binaries, Dir: filepath.Join(dir, "control"), ExtraArgs: []string{"--allow-privileged=true"},
	})
	shared.helm = helm.Helm{Path: helmBinary, Dir: dir}
	return err
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
