// Package test holds the tests of the whole way of a packet: a real kernel logs
// it, the real kube-nflog runs as a process of its own, and what it did is read
// through a real API server. Everything happens in the namespaces of netlab.
package test

import (
	"os"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// Where the binaries are built, and the manifests; tests run in this module's
// directory.
const (
	repository  = ".."
	deployment  = "../deploy"
	agentBinary = "../bin/kube-nflog-test"
)

// shared is what the tests of this package share: one lab, and one control plane
// with the agent's ServiceAccount.
var shared system.Shared

func TestMain(m *testing.M) {
	os.Exit(shared.Run(m, system.Config{Root: repository, Agent: agentBinary, Name: "shared"}))
}
