package test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestKubectl compares what an application owner sees with golden files: the output of the
// real kubectl's describe pod and events, for both pods.
func TestKubectl(t *testing.T) {
	system.Need(t, "nft")
	s := newScene(t)
	// Only packets to the server and to one outside host are denied.
	s.run(t, nft(s)[0]...)
	s.run(t, "nft", "add rule inet deny forward ip daddr "+s.outside.v4.String()+" jump server")
	a := s.startReady(t, agent.Config{})
	for _, p := range s.mixed(false) {
		system.Must(t, s.client.Send(p.Packet, p.count))
	}
	system.Must(t, s.client.Send(netlab.Packet{Source: s.client.v4, Destination: s.outside.v4, Protocol: netlab.UDP, DestinationPort: 53}, 1))
	system.Must(t, s.outside.Send(netlab.Packet{Source: s.outside.v6, Destination: s.server.v6, Protocol: netlab.TCP, DestinationPort: 22}, 12))
	system.Must(t, a.Stop(s.ctx))
	for _, pod := range []string{"client", "server"} {
		describe := s.kubectl(t, "describe", "pod", "-n", s.namespace, pod)
		_, events, ok := strings.Cut(describe, "\nEvents:\n")
		if !ok {
			t.Fatalf("kubectl describe has no events:\n%s", describe)
		}
		golden(t, "describe-pod-"+pod, s.normalise(events))
		golden(t, "events-for-"+pod, s.normalise(s.kubectl(t, "events", "-n", s.namespace, "--for", "pod/"+pod)))
	}
}

func (s *scene) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.plane.Kubectl(s.ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// normalise removes what differs from run to run: ages and the column widths that depend on
// them, the scene's names and addresses, and the order of events of the same second.
func (s *scene) normalise(table string) string {
	table = regexp.MustCompile(`\b\d+[smh](\d+[smh])?\b`).ReplaceAllString(table, "AGE")
	table = regexp.MustCompile(`  +`).ReplaceAllString(table, "  ")
	table = regexp.MustCompile(`-{3,}`).ReplaceAllString(table, "---")
	table = regexp.MustCompile(`(?m)^ +| +$`).ReplaceAllString(table, "")
	table = strings.NewReplacer(
		s.namespace, "shop", s.nodeName, "node-1",
		s.client.v4.String(), "10.0.0.5", s.client.v6.String(), "fd00::5",
		s.server.v4.String(), "10.0.0.7", s.server.v6.String(), "fd00::7",
	).Replace(table)
	var heading, rows []string
	for line := range strings.Lines(table) {
		if strings.Contains(line, "PacketDrop") {
			rows = append(rows, line)
		} else {
			heading = append(heading, line)
		}
	}
	slices.Sort(rows)
	return strings.Join(append(heading, rows...), "")
}

// golden compares text with the file of that name in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s, -want +got (go test -update writes it anew):\n%s", path, diff)
	}
}

// event returns the one event about a pod.
func (s *scene) event(t *testing.T, pod string) *corev1.Event {
	t.Helper()
	list, err := s.plane.Client().CoreV1().Events(s.namespace).List(s.ctx,
		metav1.ListOptions{FieldSelector: "involvedObject.kind=Pod,involvedObject.name=" + pod})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 {
		t.Fatalf("%d events about pod %s, want 1", len(list.Items), pod)
	}
	return &list.Items[0]
}
