// Package enforcer holds the tests beside a real network policy controller:
// kube-router, run as it comes, programs the kernel of a node; packets go
// through it; and what it does to them is compared with what the package policy
// says, and what it logs with what the real agent makes of it.
package enforcer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/agent"
	"github.com/kube-nflog/kube-nflog/test/controlplane"
	"github.com/kube-nflog/kube-nflog/test/netlab"
)

const (
	repository  = "../.."
	deployment  = "../../deploy"
	agentBinary = "../../bin/kube-nflog-test"
	routerBin   = "../../bin/kube-router"
	routerTool  = "../tools/kube-router"
	controlBin  = "../../bin/controlplane"
	patience    = 90 * time.Second
)

// system is what the tests share.
type system struct {
	lab        *netlab.Lab
	plane      *controlplane.ControlPlane
	kubeconfig string // the agent's
	missing    error  // what this machine does not allow; the rest is zero then
}

// shared is set by TestMain before any test runs.
var shared system

func TestMain(m *testing.M) {
	code, err := netlab.Run(build, func() int { return runIn(m) })
	if errors.As(err, new(*netlab.UnsupportedError)) {
		shared.missing, err = err, nil
		code = m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// build compiles what the tests run, while the module proxy can be reached.
// kube-router takes some three minutes the first time.
func build() error {
	ctx := context.Background()
	if err := agent.Build(ctx, repository, agentBinary); err != nil {
		return err
	}
	if _, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: "..", Dir: controlBin}); err != nil {
		return err
	}
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

// runIn runs the tests in the lab.
func runIn(m *testing.M) int {
	if err := shared.start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := shared.plane.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (s *system) start() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s.lab, err = netlab.NewLab(); err != nil {
		return err
	}
	binaries, err := controlplane.Locate(controlBin)
	if err != nil {
		return err
	}
	s.plane, err = controlplane.Start(ctx, controlplane.Config{
		Binaries: binaries, Dir: filepath.Join(netlab.Scratch, "control"), Address: netlab.ControlAddress(),
	})
	if err != nil {
		return err
	}
	account, err := s.plane.InstallAgent(ctx, deployment)
	if err == nil {
		s.kubeconfig, err = s.plane.ServiceAccountKubeconfig(ctx, account)
	}
	if err != nil {
		return errors.Join(err, s.plane.Stop())
	}
	return nil
}

// get returns the shared system, or skips the test where the machine cannot
// have it. In CI that is a failure.
func get(t *testing.T) *system {
	t.Helper()
	missing := shared.missing
	for _, command := range []string{"iptables", "ipset"} {
		if _, err := exec.LookPath(command); err != nil && missing == nil {
			missing = fmt.Errorf("%s is not installed; test/setup installs it", command)
		}
	}
	switch {
	case missing == nil:
		return &shared
	case os.Getenv("CI") != "":
		t.Fatal("must not be skipped in CI: " + missing.Error())
	}
	t.Skip(missing.Error())
	return nil
}
