// Package system starts what the tests of a package share: a lab of network namespaces,
// the real kube-nflog, and a real control plane with the agent's ServiceAccount. Its input
// is the directory of the sources; its output is a System. TestMain calls Run once. The
// fields of a System do not change and may be read concurrently. RunPlane is for tests
// that need only the control plane.
package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// Config says what to build and start. Paths may be relative.
type Config struct {
	Root  string // the main module's directory
	Agent string // the path to build kube-nflog at
	Name  string // name of the control plane's directory
	// Build, if not nil, builds other programs that the tests run.
	Build func(context.Context) error
}

// System holds what was started.
type System struct {
	Lab          *netlab.Lab
	Binaries     controlplane.Binaries
	ControlPlane *controlplane.ControlPlane
	Kubeconfig   string // the agent's, with the token of its ServiceAccount

	scenes atomic.Int32
}

// Scene returns a number that no other test of the process has. Tests use it for the
// names and addresses of their node and namespaces.
func (s *System) Scene() int { return int(s.scenes.Add(1)) }

// run builds the programs, enters the lab, starts the rest, runs the tests, and returns
// their exit status. It builds first, because the lab cannot reach the module proxy.
// Before the tests, share gets the system, or the reason why this machine cannot have it.
func run(m *testing.M, cfg Config, share func(*System, error)) int {
	code, err := netlab.Run(cfg.build, func() int { return cfg.inside(m, share) })
	if errors.As(err, new(*netlab.UnsupportedError)) {
		share(nil, err)
		return m.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (c *Config) build() error {
	ctx := context.Background()
	if err := agent.Build(ctx, c.Root, c.Agent); err != nil {
		return err
	}
	if _, err := buildPlane(ctx, c.Root); err != nil || c.Build == nil {
		return err
	}
	return c.Build(ctx)
}

// inside runs the tests in the lab.
func (c *Config) inside(m *testing.M, share func(*System, error)) int {
	s, err := c.start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	share(s, nil)
	code := m.Run()
	if err := s.ControlPlane.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (c *Config) start() (s *System, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s = &System{}
	if s.Lab, err = netlab.NewLab(); err != nil {
		return nil, err
	}
	if s.Binaries, err = controlplane.Locate(planeBin(c.Root)); err != nil {
		return nil, err
	}
	s.ControlPlane, err = controlplane.Start(ctx, controlplane.Config{
		Binaries: s.Binaries, Dir: filepath.Join(netlab.Scratch, c.Name), Address: netlab.ControlAddress(),
	})
	if err != nil {
		return nil, err
	}
	account, err := s.ControlPlane.InstallAgent(ctx, filepath.Join(c.Root, "deploy"))
	if err == nil {
		s.Kubeconfig, err = s.ControlPlane.ServiceAccountKubeconfig(ctx, account)
	}
	if err != nil {
		return nil, errors.Join(err, s.ControlPlane.Stop())
	}
	return s, nil
}
