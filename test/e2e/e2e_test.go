//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	podPort  = 8080
	nodePort = 9 // the discard port. Nothing needs to listen, because the packets are denied
)

// expected is an event that a pod must have exactly once.
type expected struct {
	pod     string
	message string // the start of the message
	count   int
}

// TestDeniedTrafficBecomesEvents does what a user does, from kubectl apply to kubectl
// delete.
func TestDeniedTrafficBecomesEvents(t *testing.T) {
	// Ctrl-C fails the current step, so that everything is cleaned up.
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	s := fromEnvironment(t)
	k := kubectl{path: s.kubectl}
	n := findNode(ctx, t, k, s)
	applied := time.Now()
	dir := overlay(t, s.image)
	install(ctx, t, k, dir)
	t.Logf("installed and ready after %s", time.Since(applied).Round(time.Second))
	checkMetrics(ctx, t, k, n)

	pods := startPods(ctx, t, k, n, s, "client", "server")
	client, server := pods[0], pods[1]
	serverAddress := net.JoinHostPort(server.ip, strconv.Itoa(podPort))
	nodeAddress := net.JoinHostPort(n.ip, strconv.Itoa(nodePort))
	if err := client.dial(ctx, k, s, serverAddress); err != nil {
		t.Fatalf("before the rules: %v", err)
	}

	toPod := rule{prefix: "e2e-pod:", source: client.ip, destination: server.ip, port: podPort}
	toNode := rule{prefix: "e2e-node:", source: client.ip, destination: n.ip, port: nodePort}
	n.deny(ctx, t, toPod, toNode)
	for _, address := range []string{serverAddress, serverAddress, nodeAddress} {
		if err := client.dial(ctx, k, s, address); err == nil {
			t.Fatalf("the rules let %s through", address)
		}
	}
	want := []expected{
		{client.name, fmt.Sprintf("Packet dropped when sending traffic to %s on port %d/TCP", server, podPort), n.logged(ctx, t, toPod.prefix)},
		{server.name, fmt.Sprintf("Packet dropped when receiving traffic from %s on port %d/TCP", client, podPort), n.logged(ctx, t, toPod.prefix)},
		{client.name, fmt.Sprintf("Packet dropped when sending traffic to node %s (%s) on port %d/TCP", n.name, n.ip, nodePort), n.logged(ctx, t, toNode.prefix)},
	}
	if err := n.allow(ctx); err != nil {
		t.Fatal(err)
	}
	denied := time.Now()
	expectEvents(ctx, t, k, n, want)
	t.Logf("all events and counts are there after %s", time.Since(denied).Round(time.Second))
	expectDescribed(ctx, t, k, want)

	if err := client.dial(ctx, k, s, serverAddress); err != nil {
		t.Fatalf("after the rules: %v", err)
	}
	expectEvents(ctx, t, k, n, want) // allowed traffic adds no event

	deleted := time.Now()
	if err := uninstall(k, dir); err != nil {
		t.Fatal(err)
	}
	t.Logf("uninstalled after %s", time.Since(deleted).Round(time.Second))
	expectNoResidue(ctx, t, k, n)
}

// expectEvents waits until the pods have exactly the wanted events, with the counts of the
// kernel.
func expectEvents(ctx context.Context, t *testing.T, k kubectl, n node, want []expected) {
	t.Helper()
	total := map[string]int{}
	for _, w := range want {
		if w.count < 1 {
			t.Fatalf("the kernel logged no packet for %q", w.message)
		}
		total[w.pod]++
	}
	eventually(ctx, t, time.Minute, func(ctx context.Context) error {
		got := map[string][]event{}
		for name := range total {
			events, err := k.drops(ctx, namespace, name)
			if err != nil {
				return err
			}
			if len(events) != total[name] {
				return fmt.Errorf("%s has %d events, want %d: %+v", name, len(events), total[name], events)
			}
			got[name] = events
		}
		for _, w := range want {
			if err := match(w, n, got[w.pod]); err != nil {
				return err
			}
		}
		return nil
	})
}

func match(w expected, n node, events []event) error {
	for _, e := range events {
		if !strings.HasPrefix(e.Message, w.message) {
			continue
		}
		if e.Count != w.count || e.Type != "Warning" || e.Source.Component != "kube-nflog" || e.Source.Host != n.name {
			return fmt.Errorf("%s: got %+v, want count %d, a Warning from kube-nflog on %s", w.pod, e, w.count, n.name)
		}
		return nil
	}
	return fmt.Errorf("%s: no event begins with %q: %+v", w.pod, w.message, events)
}

// expectDescribed checks the output of kubectl describe, which an application owner sees.
func expectDescribed(ctx context.Context, t *testing.T, k kubectl, want []expected) {
	t.Helper()
	for _, w := range want {
		out := k.must(ctx, t, "describe", "pod", "-n", namespace, w.pod)
		for line := range strings.Lines(out) {
			if strings.Contains(line, w.message) {
				t.Logf("kubectl describe pod %s: %s", w.pod, strings.TrimSpace(line))
			}
		}
		if !strings.Contains(out, w.message) {
			t.Errorf("kubectl describe pod %s does not say %q:\n%s", w.pod, w.message, out)
		}
	}
}

// checkMetrics reads the agent's metrics as a monitoring system in the cluster does,
// through the container's port.
func checkMetrics(ctx context.Context, t *testing.T, k kubectl, n node) {
	t.Helper()
	const agent = "jsonpath={.items[0].metadata.name}:{.items[0].spec.containers[0].ports[0].containerPort}"
	target := k.must(ctx, t, "get", "pods", "-n", "kube-nflog", "--field-selector", "spec.nodeName="+n.name, "-o", agent)
	metrics := k.must(ctx, t, "get", "--raw", "/api/v1/namespaces/kube-nflog/pods/"+target+"/proxy/metrics")
	if !strings.Contains(metrics, "\nkube_nflog_") {
		t.Errorf("no kube_nflog_ metric at %s:\n%s", target, metrics)
	}
}

// expectNoResidue looks for what an uninstallation may leave behind: objects, rules, and a
// process that owns the group.
func expectNoResidue(ctx context.Context, t *testing.T, k kubectl, n node) {
	t.Helper()
	// Every kind that the API server can list, including cluster-wide kinds.
	kinds := strings.Fields(k.must(ctx, t, "api-resources", "--verbs=list", "-o", "name"))
	for _, label := range []string{"app.kubernetes.io/name=kube-nflog", "owner=helm,name=" + release} {
		left := k.must(ctx, t, "get", strings.Join(kinds, ","), "--all-namespaces", "--selector", label, "--ignore-not-found", "-o", "name")
		if left != "" {
			t.Errorf("left behind, with the label %s:\n%s", label, left)
		}
	}
	if out := k.must(ctx, t, "get", "namespace/kube-nflog", "--ignore-not-found", "-o", "name"); out != "" {
		t.Errorf("left behind: %s", out)
	}
	rules, err := n.run(ctx, "iptables", "-w", "-S")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(rules, chain) {
		t.Errorf("rules left behind:\n%s", rules)
	}
	groups, err := n.run(ctx, "cat", "/proc/net/netfilter/nfnetlink_log")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(groups) {
		if strings.HasPrefix(strings.TrimSpace(line), "100 ") {
			t.Errorf("group 100 is still owned: %s", line)
		}
	}
}
