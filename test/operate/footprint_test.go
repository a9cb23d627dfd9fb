package operate

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/test/agent"
	"github.com/kube-nflog/kube-nflog/test/controlplane"
	"github.com/kube-nflog/kube-nflog/test/system"
)

// TestFootprint holds the memory of an agent, as deploy/ runs it, that has
// nothing to do: 25 MiB with 100 pods on its node.
func TestFootprint(t *testing.T) {
	const pods, most = 100, 25 << 10
	s := newScene(t)
	system.Must(t, s.ControlPlane.CreateNode(s.ctx, "node-1", netip.MustParseAddr("10.20.0.1")))
	system.Must(t, s.ControlPlane.CreateNamespace(s.ctx, "crowd"))
	t.Cleanup(func() {
		now := int64(0)
		system.Must(t, s.ControlPlane.Client().CoreV1().Pods("crowd").DeleteCollection(
			context.Background(), metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{}))
	})
	for i := range pods {
		_, err := s.ControlPlane.CreatePod(s.ctx, controlplane.Pod{
			Namespace: "crowd", Name: fmt.Sprintf("app-%d", i), Node: "node-1",
			Addresses:   []netip.Addr{netip.AddrFrom4([4]byte{10, 21, 0, byte(i)})},
			Labels:      map[string]string{"app.kubernetes.io/name": "app", "pod-template-hash": "5d4f8c7b9"},
			Annotations: map[string]string{"example.com/configuration": strings.Repeat("one of many words ", 300)},
		})
		system.Must(t, err)
	}
	a := s.startAgent(t, agent.Config{Kubeconfig: s.Kubeconfig, Args: []string{"--output", "none"}, Env: []string{"GOMEMLIMIT=192000000"}})
	for range 100 { // a probe and a scrape each
		system.Must(t, a.WaitReady(s.ctx))
		_, err := a.Metrics(s.ctx)
		system.Must(t, err)
	}
	var m map[string]int
	s.await(t, fmt.Sprintf("%d KiB at most", most), func() bool {
		m = memory(t, a.PID())
		return m["VmRSS"] <= most
	}, func() string { return fmt.Sprintf("KiB: %v", m) })
	t.Logf("resident: %d KiB, of them %d anonymous and %d of the program's file; at most %d",
		m["VmRSS"], m["RssAnon"], m["RssFile"], m["VmHWM"])
}

// memory reads what /proc says of a process' memory, in KiB.
func memory(t *testing.T, pid int) map[string]int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]int{}
	for _, f := range regexp.MustCompile(`(?m)^(\w+):\s+(\d+) kB$`).FindAllStringSubmatch(string(text), -1) {
		all[f[1]], _ = strconv.Atoi(f[2]) // digits
	}
	return all
}
