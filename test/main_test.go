// Package test holds the tests of the whole way of a packet: a real kernel logs
// it, the real kube-nflog runs as a process of its own, and what it did is read
// through a real API server. Everything happens in the namespaces of netlab.
package test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/test/agent"
	"github.com/kube-nflog/kube-nflog/test/controlplane"
	"github.com/kube-nflog/kube-nflog/test/netlab"
)

// Where the binaries are built, and the manifests; tests run in this module's
// directory.
const (
	repository  = ".."
	deployment  = "../deploy"
	agentBinary = "../bin/kube-nflog-test"
	controlBin  = "../bin/controlplane"
)

// system is what the tests of this package share: one lab, and one control
// plane with the agent's ServiceAccount.
type system struct {
	lab          *netlab.Lab
	binaries     controlplane.Binaries
	controlPlane *controlplane.ControlPlane
	kubeconfig   string // the agent's, by its ServiceAccount's token
	scenes       atomic.Int32
	missing      error // what this machine does not allow; the rest is zero then
}

// shared is set by TestMain before any test runs. Use get.
var shared system

// get returns the shared system, or skips the test where the machine cannot
// have it. In CI that is a failure: a test that never runs proves nothing.
func get(t *testing.T) *system {
	t.Helper()
	if shared.missing != nil {
		skip(t, shared.missing.Error())
	}
	return &shared
}

// skip skips the test, and fails it in CI.
func skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("must not be skipped in CI: " + why)
	}
	t.Skip(why)
}

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
func build() error {
	ctx := context.Background()
	if err := agent.Build(ctx, repository, agentBinary); err != nil {
		return err
	}
	_, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: ".", Dir: controlBin})
	return err
}

// runIn runs the tests in the lab.
func runIn(m *testing.M) int {
	if err := shared.start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := shared.controlPlane.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (s *system) start() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.lab, err = netlab.NewLab(); err != nil {
		return err
	}
	if s.binaries, err = controlplane.Locate(controlBin); err != nil {
		return err
	}
	s.controlPlane, err = controlplane.Start(ctx, controlplane.Config{
		Binaries: s.binaries, Dir: filepath.Join(netlab.Scratch, "shared"), Address: netlab.ControlAddress(),
	})
	if err != nil {
		return err
	}
	account, err := s.controlPlane.InstallAgent(ctx, deployment)
	if err == nil {
		s.kubeconfig, err = s.controlPlane.ServiceAccountKubeconfig(ctx, account)
	}
	if err != nil {
		return errors.Join(err, s.controlPlane.Stop())
	}
	return nil
}
