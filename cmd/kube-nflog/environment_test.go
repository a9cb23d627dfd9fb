//go:build linux

package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlagsComeBeforeEnvironment(t *testing.T) {
	t.Setenv("NFLOG_GROUP", "7")
	t.Setenv("NODE_NAME", "from-downward-api")
	t.Setenv("KUBE_NFLOG_NODE_NAME", "own-variable")
	t.Setenv("KUBE_NFLOG_OUTPUT", "json")
	t.Setenv("KUBE_NFLOG_POD_EVENT_BURST", "3")
	o, err := read("--output", "none", "--prefix", "a,b", "--prefix=--c")
	if err != nil {
		t.Fatal(err)
	}
	type view struct {
		Groups   []uint
		Node     string
		Output   string
		Burst    int
		Prefixes []string
	}
	want := view{[]uint{7}, "own-variable", "none", 3, []string{"a,b", "--c"}}
	if diff := cmp.Diff(want, view{o.groups, o.nodeName, o.output, o.podEventBurst, o.prefixes}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTailerEnvironment starts from kube-iptables-tailer's variables.
func TestTailerEnvironment(t *testing.T) {
	for name, value := range map[string]string{
		"IPTABLES_LOG_PREFIX": "calico-drop:", "KUBE_API_SERVER": "https://10.0.0.1:443",
		"KUBE_EVENT_DISPLAY_REASON": "PacketDropped", "KUBE_EVENT_SOURCE_COMPONENT_NAME": "tailer",
		"METRICS_SERVER_PORT": "9191", "POD_IDENTIFIER": "label", "POD_IDENTIFIER_LABEL": "app", "LOG_LEVEL": "WARN",
	} {
		t.Setenv(name, value)
	}
	o, err := read()
	if err != nil {
		t.Fatal(err)
	}
	got := []string{
		strings.Join(o.prefixes, " "), o.apiServer, o.eventReason, o.eventSource, o.listen, o.podIdentifier, o.podIdentLabel, o.logLevel,
	}
	want := []string{"calico-drop:", "https://10.0.0.1:443", "PacketDropped", "tailer", ":9191", "label", "app", "warn"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestServiceLinks starts where the kubelet has set a Service's variables, also of
// one whose name begins like the agent's own variables. They are no settings.
func TestServiceLinks(t *testing.T) {
	links := map[string]string{
		"METRICS_SERVER_PORT": "tcp://10.96.0.9:443",
		"KUBE_NFLOG_PORT":     "udp://[fd00::9]:9090", "KUBE_NFLOG_SERVICE_HOST": "10.96.0.8",
		"KUBE_NFLOG_SERVICE_PORT": "9090", "KUBE_NFLOG_SERVICE_PORT_HTTP_METRICS": "9090",
		"KUBE_NFLOG_PORT_9090_TCP": "tcp://10.96.0.8:9090", "KUBE_NFLOG_PORT_9090_TCP_PROTO": "tcp",
		"KUBE_NFLOG_PORT_9090_TCP_PORT": "9090", "KUBE_NFLOG_PORT_9090_TCP_ADDR": "fd00::9",
	}
	for name, value := range links {
		t.Setenv(name, value)
	}
	o, err := read()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(o.ignored)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(links)), o.ignored); diff != "" || o.listen != ":9090" {
		t.Errorf("listens on %s; ignored, -want +got:\n%s", o.listen, diff)
	}
}

// TestUnknownVariables mistypes variables: none of them is ignored. Values that no
// kubelet sets are no service links.
func TestUnknownVariables(t *testing.T) {
	for name, value := range map[string]string{
		"KUBE_NFLOG_EVENT_QSP": "3", "KUBE_NFLOG_GROUPS": "7", "KUBE_NFLOG_PORT": "9090", "KUBE_NFLOG_EMPTY": "", "METRICS_SERVER_PORT": "tcp:9090",
	} {
		t.Setenv(name, value)
	}
	_, err := read()
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		`--listen (from METRICS_SERVER_PORT): ":tcp:9090" is no address such as :9090 or 127.0.0.1:9090`,
		"KUBE_NFLOG_EVENT_QSP: no such variable; the nearest is KUBE_NFLOG_EVENT_QPS",
		"KUBE_NFLOG_GROUPS: no such variable; the nearest is KUBE_NFLOG_GROUP",
		"KUBE_NFLOG_PORT: no such variable; the nearest is KUBE_NFLOG_PPROF",
	}
	got := strings.Split(err.Error(), "\n")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestMistakesNameTheVariable looks at a value that can be read and means nothing.
func TestMistakesNameTheVariable(t *testing.T) {
	t.Setenv("KUBE_NFLOG_OUTPUT", "xml")
	_, err := read()
	if want := `--output (from KUBE_NFLOG_OUTPUT): "xml" is neither none nor json`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
