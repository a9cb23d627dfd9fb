package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

// RunPlane starts only a control plane, without a lab, runs the tests, and returns their
// exit status. It calls prepare before the tests, with a directory for their files. root
// is the main module's directory. args are additional arguments of the API server.
func RunPlane(m *testing.M, root string, prepare func(ctx context.Context, cp *controlplane.ControlPlane, dir string) error, args ...string) int {
	code, err := runPlane(m, root, prepare, args)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func runPlane(m *testing.M, root string, prepare func(context.Context, *controlplane.ControlPlane, string) error, args []string) (code int, err error) {
	ctx := context.Background()
	binaries, err := buildPlane(ctx, root)
	if err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "kube-nflog-test")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cp, err := controlplane.Start(starting, controlplane.Config{Binaries: binaries, Dir: filepath.Join(dir, "control"), ExtraArgs: args})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, cp.Stop()) }()
	if err := prepare(ctx, cp, dir); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// planeBin returns the directory of the control plane's programs.
func planeBin(root string) string { return filepath.Join(root, "bin/controlplane") }

func buildPlane(ctx context.Context, root string) (controlplane.Binaries, error) {
	return controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: filepath.Join(root, "test"), Dir: planeBin(root)})
}
