//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
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

// checkWatch follows the agent from its pod until a denied packet comes, and ends
// as people do: by Ctrl-C where there is a terminal, and by killing kubectl where
// there is none. Neither may leave a follower in the container. Nothing tells a
// process that kubectl has gone, and so it ends by its --for.
func checkWatch(ctx context.Context, t *testing.T, k kubectl, n node, d denied) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	agent := agentPod(ctx, t, k, n)
	watch := []string{agent, "--", "/kube-nflog", "watch", "--agent", "--port", strconv.Itoa(deniedPort)}

	cmd := exec.CommandContext(ctx, k.path, append([]string{"exec", "-n", "kube-nflog", "-it"}, watch...)...)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 50, Cols: 400})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	d.expectRow(t, terminal)
	if _, err := terminal.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("watch, after Ctrl-C: %v", err)
	}
	expectNoFollower(ctx, t, k, agent)

	cmd = exec.CommandContext(ctx, k.path, append(append([]string{"exec", "-n", "kube-nflog"}, watch...), "--for", "20s")...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.expectRow(t, out)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	expectNoFollower(ctx, t, k, agent)
}

// expectRow reads what watch prints until there is a row about the denied traffic.
func (d denied) expectRow(t *testing.T, printed io.Reader) {
	t.Helper()
	want := []string{namespace + "/" + d.client.name, namespace + "/" + d.server.name, d.rule.prefix}
	var before []string
	for lines := bufio.NewScanner(printed); lines.Scan(); before = append(before, lines.Text()) {
		if containsAll(lines.Text(), want) {
			t.Logf("watch: %s", lines.Text())
			return
		}
	}
	t.Fatalf("watch prints no line with %q: %q", want, before)
}

// expectNoFollower waits until nobody follows the agent any more.
func expectNoFollower(ctx context.Context, t *testing.T, k kubectl, agent string) {
	t.Helper()
	eventually(ctx, t, time.Minute, func(ctx context.Context) error {
		metrics, err := k.run(ctx, "get", "--raw", "/api/v1/namespaces/kube-nflog/pods/"+agent+":19090/proxy/metrics")
		if err == nil && !strings.Contains(metrics, "\nkube_nflog_followers 0\n") {
			err = errors.New("a follower is left, although its kubectl has gone")
		}
		return err
	})
}

func containsAll(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}
