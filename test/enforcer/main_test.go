// Package enforcer holds the tests beside a real network policy controller:
// kube-router, run as it comes, programs the kernel of a node; packets go
// through it; and what it does to them is compared with what the package policy
// says, and what it logs with what the real agent makes of it.
package enforcer

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

const (
	repository  = "../.."
	agentBinary = "../../bin/kube-nflog-test"
	routerBin   = "../../bin/kube-router"
	routerTool  = "../tools/kube-router"
	patience    = 90 * time.Second
)

// shared is what the tests share.
var shared system.Shared

func TestMain(m *testing.M) {
	os.Exit(shared.Run(m, system.Config{Root: repository, Agent: agentBinary, Name: "control", Build: buildRouter}))
}

// buildRouter takes some three minutes the first time.
func buildRouter(ctx context.Context) error {
	path, err := filepath.Abs(routerBin)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "github.com/cloudnativelabs/kube-router/cmd/kube-router")
	cmd.Dir, cmd.Env = routerTool, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build kube-router: %w\n%s", err, out)
	}
	return nil
}
