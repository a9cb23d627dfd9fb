// Package test tests the whole way of a packet: a real kernel logs it, the real kube-nflog
// runs as a process, and the tests read the events from a real API server. Everything
// happens in the namespaces of netlab.
package test

import (
	"os"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// Paths of the sources, the manifests and the agent's binary, from this directory.
const (
	repository  = ".."
	deployment  = "../deploy"
	agentBinary = "../bin/kube-nflog-test"
)

// shared holds one lab and one control plane for all tests of this package.
var shared system.Shared

func TestMain(m *testing.M) {
	os.Exit(shared.Run(m, system.Config{Root: repository, Agent: agentBinary, Name: "shared"}))
}
