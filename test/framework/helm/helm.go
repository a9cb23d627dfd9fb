// Package helm builds and runs the real helm, from the module in tools/helm. Its
// methods may be called concurrently.
package helm

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Build compiles helm into path. tools is the directory test/tools. The first build takes
// some seconds, and a second if nothing changed.
func Build(ctx context.Context, tools, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("build helm: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(tools, "helm", "build"), path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build helm: %w\n%s", err, out)
	}
	return nil
}

// Helm is the program with its settings.
type Helm struct {
	Path       string // of the program
	Kubeconfig string // of the cluster; "" for commands that need none
	Dir        string // for helm's own cache, configuration and data
}

// Run runs helm and returns its standard output. An error contains its standard error.
func (h Helm) Run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, h.Path, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+h.Kubeconfig, "HELM_NAMESPACE=",
		"HELM_CACHE_HOME="+h.Dir, "HELM_CONFIG_HOME="+h.Dir, "HELM_DATA_HOME="+h.Dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
