// Package enforcer tests policy and the agent beside a real network policy controller.
// kube-router, without changes, programs the kernel of a node. The tests send packets
// through it. They compare what it does to them with the answers of package policy, and
// what it logs with the reports of the real agent.
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

// shared holds one lab and one control plane for all tests of this package.
var shared system.Shared

func TestMain(m *testing.M) {
	os.Exit(shared.Run(m, system.Config{Root: repository, Agent: agentBinary, Name: "control", Build: buildRouter}))
}

// buildRouter builds kube-router. This takes some three minutes the first time.
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
