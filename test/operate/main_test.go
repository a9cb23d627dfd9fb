// Package operate tests the commands for people who operate a node: rules, watch and
// doctor. Each runs as a process, with a real kernel in the namespaces of netlab, and with
// a real API server if it needs one.
package operate

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// Paths of the sources and the binaries, from this folder.
const (
	repository  = "../.."
	agentBinary = "../../bin/kube-nflog-operate"
)

// shared holds one lab and one control plane for all tests of this package.
var shared system.Shared

func TestMain(m *testing.M) {
	os.Exit(shared.Run(m, system.Config{Root: repository, Agent: agentBinary, Name: "operate"}))
}

// patience is how long a scene may take on a busy machine.
const patience = 3 * time.Minute

// scene is the environment of one test: a node between a client and a server.
type scene struct {
	*system.System
	ctx    context.Context //nolint:containedctx // a scene belongs to one test, and so does its deadline
	node   *netlab.Node
	client *netlab.Namespace
	server *netlab.Namespace
}

// The addresses of every scene. They can be the same because each scene has its own
// namespaces.
var (
	client4 = netip.MustParseAddr("10.20.0.5")
	client6 = netip.MustParseAddr("fd00:20::5")
	server4 = netip.MustParseAddr("10.20.0.7")
	server6 = netip.MustParseAddr("fd00:20::7")
)

func newScene(t *testing.T) *scene {
	t.Helper()
	sys := shared.Get(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s := &scene{System: sys, ctx: ctx}
	var err error
	name := fmt.Sprintf("node-%d", sys.Scene())
	if s.node, err = sys.Lab.NewNode(name, netip.MustParseAddr("10.20.0.1"), netip.MustParseAddr("fd00:20::1")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Must(t, s.node.Close()) })
	s.client = s.attach(t, "client", client4, client6)
	s.server = s.attach(t, "server", server4, server6)
	return s
}

func (s *scene) attach(t *testing.T, name string, addresses ...netip.Addr) *netlab.Namespace {
	t.Helper()
	ns, err := s.node.Attach(name, addresses...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { system.Must(t, ns.Close()) })
	return ns
}

// run runs a command on the node and returns what it printed.
func (s *scene) run(t *testing.T, command ...string) string {
	t.Helper()
	out, err := s.node.Command(s.ctx, command[0], command[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// send sends SYNs from the client to the server.
func (s *scene) send(t *testing.T, from, to netip.Addr, port uint16, count int) {
	t.Helper()
	system.Must(t, s.client.Send(netlab.Packet{Source: from, Destination: to, Protocol: netlab.TCP, DestinationPort: port}, count))
}

// startAgent runs an agent without a cluster on the node, until the test ends.
func (s *scene) startAgent(t *testing.T, cfg agent.Config) *agent.Agent {
	t.Helper()
	cfg.Binary, cfg.Node, cfg.NodeName = agentBinary, s.node.Namespace, "node-1"
	if cfg.Groups == nil {
		cfg.Groups = []uint16{100}
	}
	if cfg.Kubeconfig == "" {
		cfg.Args = append(cfg.Args, "--events=false", "--reverse-dns=false")
	}
	a, err := agent.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		system.Must(t, a.Kill())
		if t.Failed() {
			t.Logf("the agent's log:\n%s", a.Log())
		}
	})
	system.Must(t, a.WaitReady(s.ctx))
	return a
}

// createPod creates a pod with the address, until the test ends, because scenes have the
// same addresses. The namespace may exist already.
func (s *scene) createPod(t *testing.T, namespace, name string, address netip.Addr) {
	t.Helper()
	client := s.ControlPlane.Client().CoreV1()
	if _, err := client.Namespaces().Get(s.ctx, namespace, metav1.GetOptions{}); err != nil {
		system.Must(t, s.ControlPlane.CreateNamespace(s.ctx, namespace))
	}
	_, err := s.ControlPlane.CreatePod(s.ctx, controlplane.Pod{Namespace: namespace, Name: name, Node: "n1", Addresses: []netip.Addr{address}})
	system.Must(t, err)
	t.Cleanup(func() {
		now := int64(0)
		system.Must(t, client.Pods(namespace).Delete(context.Background(), name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
	})
}
