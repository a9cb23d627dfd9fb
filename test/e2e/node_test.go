//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// chain holds all rules that the tests add.
const chain = "KUBE-NFLOG-E2E"

// node runs commands on the cluster's node, and holds the rules that are there.
type node struct {
	name string
	ip   string
	exec []string // prefix of a command; none for the local host
}

// findNode returns the node that the settings name, or the first one. It fails if commands
// would not reach that node, before it adds a rule elsewhere.
func findNode(ctx context.Context, t *testing.T, k kubectl, s settings) node {
	t.Helper()
	name := s.node
	if name == "" {
		name = k.must(ctx, t, "get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
	}
	ip := k.must(ctx, t, "get", "node", name, "-o", `jsonpath={.status.addresses[?(@.type=="InternalIP")].address}`)
	ip, _, _ = strings.Cut(ip, " ")
	n := node{name: name, ip: ip, exec: s.nodeExec}
	if len(n.exec) == 0 && !isLocal(t, ip) {
		t.Fatalf("node %s (%s) is not this host: set E2E_NODE_EXEC, see test/e2e/doc.go", name, ip)
	}
	return n
}

func isLocal(t *testing.T, ip string) bool {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatalf("list this host's addresses: %v", err)
	}
	for _, a := range addrs {
		if prefix, ok := a.(*net.IPNet); ok && prefix.IP.String() == ip {
			return true
		}
	}
	return false
}

// run runs a command on the node and returns its output.
func (n node) run(ctx context.Context, args ...string) (string, error) {
	args = append(append([]string(nil), n.exec...), args...)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (n node) must(ctx context.Context, t *testing.T, args ...string) {
	t.Helper()
	if _, err := n.run(ctx, args...); err != nil {
		t.Fatal(err)
	}
}

// rule logs TCP packets with its prefix, and then denies them.
type rule struct {
	prefix      string
	source      string
	destination string
	port        int
}

func (r rule) match() []string {
	return []string{"-p", "tcp", "-s", r.source, "-d", r.destination, "--dport", strconv.Itoa(r.port)}
}

// log returns the arguments of the rule that logs.
func (r rule) log() []string {
	return append(r.match(), "-j", "NFLOG", "--nflog-group", "100", "--nflog-prefix", r.prefix)
}

// deny puts the rules first in FORWARD and INPUT, until the test ends or allow is called.
func (n node) deny(ctx context.Context, t *testing.T, rules ...rule) {
	t.Helper()
	n.must(ctx, t, "iptables", "-w", "-N", chain)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := n.allow(ctx); err != nil {
			t.Error(err)
		}
	})
	for _, r := range rules {
		add := []string{"iptables", "-w", "-A", chain}
		n.must(ctx, t, append(add, r.log()...)...)
		n.must(ctx, t, append(append(add, r.match()...), "-j", "DROP")...)
	}
	for _, hook := range []string{"FORWARD", "INPUT"} {
		n.must(ctx, t, "iptables", "-w", "-I", hook, "1", "-j", chain)
	}
}

// allow removes the chain and all jumps to it.
func (n node) allow(ctx context.Context) error {
	saved, err := n.run(ctx, "iptables", "-w", "-S")
	if err != nil {
		return err
	}
	for line := range strings.Lines(saved) {
		args := strings.Fields(line)
		if len(args) == 4 && args[0] == "-A" && args[3] == chain {
			if _, err := n.run(ctx, "iptables", "-w", "-D", args[1], "-j", chain); err != nil {
				return err
			}
		}
	}
	if !strings.Contains(saved, "-N "+chain+"\n") {
		return nil
	}
	if _, err := n.run(ctx, "iptables", "-w", "-F", chain); err != nil {
		return err
	}
	_, err = n.run(ctx, "iptables", "-w", "-X", chain)
	return err
}

// logged returns how many packets the rule with the prefix has logged, by the kernel's
// counter.
func (n node) logged(ctx context.Context, t *testing.T, prefix string) int {
	t.Helper()
	out, err := n.run(ctx, "iptables", "-w", "-v", "-S", chain)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if !strings.Contains(line, prefix) {
			continue
		}
		args := strings.Fields(line)
		for i, arg := range args[:len(args)-1] {
			if arg == "-c" {
				packets, err := strconv.Atoi(args[i+1])
				if err != nil {
					t.Fatalf("read counter of %q: %v", line, err)
				}
				return packets
			}
		}
	}
	t.Fatalf("no counter for %q in:\n%s", prefix, out)
	return 0
}
