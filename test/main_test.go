// Package test holds the tests of the whole way of a packet: a real kernel logs
// it, the real kube-nflog runs as a process of its own, and what it did is read
// through a real API server. Everything happens in the namespaces of netlab.
package test

import (
	"os"
	"sync/atomic"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/system"
)

// Where the binaries are built, and the manifests; tests run in this module's
// directory.
const (
	repository  = ".."
	deployment  = "../deploy"
	agentBinary = "../bin/kube-nflog-test"
)

// sharedSystem is what the tests of this package share: one lab, and one control
// plane with the agent's ServiceAccount.
type sharedSystem struct {
	*system.System // nil if something is missing

	scenes  atomic.Int32
	missing error // what this machine does not allow
}

// shared is set by TestMain before any test runs. Use get.
var shared sharedSystem

// get returns the shared system, or skips the test where the machine cannot
// have it. In CI that is a failure: a test that never runs proves nothing.
func get(t *testing.T) *sharedSystem {
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
	os.Exit(system.Run(m, system.Config{Root: repository, Agent: agentBinary, Name: "shared"}, func(s *system.System, missing error) {
		shared.System, shared.missing = s, missing
	}))
}
