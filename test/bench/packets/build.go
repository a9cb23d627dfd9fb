package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// build compiles the other readers, and kube-nflog as it is released but with symbols.
// The symbols cost no CPU time, and perf needs them for names.
func (o *options) build(ctx context.Context) error {
	for _, b := range []struct{ dir, pkg, name string }{
		{o.root, "./cmd/kube-nflog", "kube-nflog"},
		{filepath.Join(o.root, "test"), "./bench/packets/reader", "reader"},
	} {
		path, err := filepath.Abs(o.binary(b.name))
		if err != nil {
			return fmt.Errorf("build %s: %w", b.name, err)
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", path, b.pkg)
		cmd.Dir = b.dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", b.name, err, out)
		}
	}
	return nil
}
