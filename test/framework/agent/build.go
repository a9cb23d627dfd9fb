package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build compiles kube-nflog from the sources in root, the main module's
// directory, into the file path.
func Build(ctx context.Context, root, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("build kube-nflog: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "./cmd/kube-nflog")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build kube-nflog: %w\n%s", err, out)
	}
	return nil
}
