//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// deniedPort is a port on which nothing listens. Its packets are denied.
const deniedPort = 8081

// denied is traffic that a rule denies while the test runs.
type denied struct {
	client, server pod
	rule           rule
}

// startDenied starts two pods and denies traffic between them. The client tries to connect
// again and again.
func startDenied(ctx context.Context, t *testing.T, k kubectl, n node, s settings) denied {
	t.Helper()
	pods := startPods(ctx, t, k, n, s, "client", "server")
	d := denied{client: pods[0], server: pods[1]}
	d.rule = rule{prefix: "e2e-denied:", source: d.client.ip, destination: d.server.ip, port: deniedPort}
	n.deny(ctx, t, d.rule)
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	t.Cleanup(func() { stop(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			// It is expected to fail.
			_ = d.client.dial(ctx, k, s, net.JoinHostPort(d.server.ip, strconv.Itoa(deniedPort)))
		}
	}()
	return d
}

// expectEvent waits until the client has the event of the denied traffic with a higher
// count than before. It returns the count.
func (d denied) expectEvent(ctx context.Context, t *testing.T, k kubectl, limit time.Duration, before int) (count int) {
	t.Helper()
	message := fmt.Sprintf("Packet dropped when sending traffic to %s on port %d/TCP", d.server, deniedPort)
	eventually(ctx, t, limit, func(ctx context.Context) error {
		events, err := k.drops(ctx, namespace, d.client.name)
		if err != nil {
			return err
		}
		for _, e := range events {
			if strings.HasPrefix(e.Message, message) && e.Count > before {
				count = e.Count
				return nil
			}
		}
		return fmt.Errorf("no event with a count above %d begins with %q: %+v", before, message, events)
	})
	return count
}

// agentPod returns the name of the node's agent.
func agentPod(ctx context.Context, t *testing.T, k kubectl, n node) string {
	t.Helper()
	return k.must(ctx, t, "get", "pods", "-n", "kube-nflog", "-l", "app.kubernetes.io/name=kube-nflog",
		"--field-selector", "spec.nodeName="+n.name+",status.phase=Running", "-o", "jsonpath={.items[0].metadata.name}")
}

// checkArguments compares a running agent's command line.
func checkArguments(ctx context.Context, t *testing.T, k kubectl, n node, want string) {
	t.Helper()
	got := k.must(ctx, t, "get", "pod", "-n", "kube-nflog", agentPod(ctx, t, k, n), "-o", "jsonpath={.spec.containers[0].args}")
	if got != want {
		t.Errorf("the agent runs with %s, want %s", got, want)
	}
}

// finding holds the fields of a doctor's finding that the tests read.
type finding struct{ Check, Status, Says, Remedy string }

// doctor runs doctor in the agent's pod.
func doctor(ctx context.Context, t *testing.T, k kubectl, agent string) map[string][]finding {
	t.Helper()
	// The exit status reports problems, and the cluster may have some, so it is ignored.
	out, err := k.run(ctx, "exec", "-n", "kube-nflog", agent, "--", "/kube-nflog", "doctor", "--output", "json")
	var list []finding
	if e := json.Unmarshal([]byte(out), &list); e != nil {
		t.Fatalf("doctor: %v: %v\n%s", err, e, out)
	}
	found := map[string][]finding{}
	for _, f := range list {
		found[f.Check] = append(found[f.Check], f)
	}
	return found
}

// checkDoctor runs doctor while everything works, and after the logging rule was removed.
// It must find that, and print the rule to add.
func checkDoctor(ctx context.Context, t *testing.T, k kubectl, n node, d denied) {
	t.Helper()
	agent := agentPod(ctx, t, k, n)
	found := doctor(ctx, t, k, agent)
	for _, check := range []string{"capability", "kernel", "group", "rules", "api", "rights", "agent"} {
		if len(found[check]) == 0 {
			t.Errorf("doctor does not say %s: %v", check, found)
		}
		for _, f := range found[check] {
			if f.Status != "ok" {
				t.Errorf("doctor: %+v", f)
			}
		}
	}
	n.must(ctx, t, append([]string{"iptables", "-w", "-D", chain}, d.rule.log()...)...)
	found = doctor(ctx, t, k, agent)
	if f := found["rules"]; len(f) != 1 || f[0].Status != "problem" {
		t.Errorf("doctor, without the rule: %+v", f)
	}
	remedied := false
	for _, f := range found["drops"] {
		remedied = remedied || strings.Contains(f.Says, chain) && strings.Contains(f.Remedy, "NFLOG --nflog-group 100")
	}
	if !remedied {
		t.Errorf("doctor does not say which rule to add to %s: %+v", chain, found["drops"])
	}
	n.must(ctx, t, append([]string{"iptables", "-w", "-I", chain, "1"}, d.rule.log()...)...)
}

// checkWatch follows the agent from its pod until a denied packet comes.
func checkWatch(ctx context.Context, t *testing.T, k kubectl, n node, d denied) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, k.path, "exec", "-n", "kube-nflog", agentPod(ctx, t, k, n), "--",
		"/kube-nflog", "watch", "--agent", "--port", strconv.Itoa(deniedPort))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	want := []string{namespace + "/" + d.client.name, namespace + "/" + d.server.name, d.rule.prefix}
	var printed []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		printed = append(printed, lines.Text())
		if containsAll(lines.Text(), want) {
			t.Logf("watch: %s", lines.Text())
			cancel()
			_ = cmd.Wait() // the error is ignored: the process was stopped
			return
		}
	}
	t.Errorf("watch (%v) has no line with %q: %q", cmd.Wait(), want, printed)
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
