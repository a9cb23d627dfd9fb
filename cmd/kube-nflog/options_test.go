//go:build linux

package main

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// read takes args and the test's environment in, as run does.
func read(args ...string) (options, error) {
	var o options
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	o.define(flags)
	err := errors.Join(o.parse(flags, args), o.validate())
	return o, err
}

func TestDefaultsAreValid(t *testing.T) {
	o, err := read()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]uint{100}, o.groups); diff != "" || !o.events || o.output != outputNone || o.listen != ":9090" {
		t.Errorf("defaults: %+v", o)
	}
}

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

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	t.Setenv("KUBE_NFLOG_EVENT_QPS", "many")
	t.Setenv("LOG_LEVEL", "loud")
	_, err := read("--group", "x", "--no-such", "-g=7", "-events=false", "--output=xml", "--nor-such=1", "--listen", "nowhere",
		"--events=maybe", "--flow-window", "1ms", "--pod-identifier", "uid", "--pod-event-burst", "0", "--event-reason", "", "stray",
		"--dialect", "cilium", "--prefix-pattern", "drop")
	want := []string{
		`--no-such: no such flag, see --help`,
		`--nor-such: no such flag, see --help`,
		`-g: no such flag, see --help`,
		`-events: no such flag, see --help`,
		`--group: "x" is not a number, or several with commas between`,
		`--events: "maybe" is not true or false`,
		`run takes no arguments, got ["stray"]`,
		`--event-qps (from KUBE_NFLOG_EVENT_QPS): "many" is not a number`,
		`--dialect: dialect "cilium" is none of auto, plain, kube-router, k3s, calico`,
		`--prefix-pattern: prefix pattern: it has no group named policy or verdict: (?P<policy>…)`,
		`--flow-window: 1ms is not between 100ms and 1m`,
		`--output: "xml" is neither none nor json`,
		`--listen: "nowhere" is no address such as :9090 or 127.0.0.1:9090`,
		`--pod-event-burst: 0 is not above 0`,
		`--event-reason: must not be empty`,
		`--pod-identifier: "uid" is none of name_with_namespace, name, namespace, label, workload`,
		`--log-level (from LOG_LEVEL): "loud" is none of debug, info, warn, error`,
	}
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.Split(err.Error(), "\n")
	for _, w := range want {
		if !contains(got, w) {
			t.Errorf("missing: %s", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d mistakes reported, want %d:\n%s", len(got), len(want), err)
	}
}

func contains(lines []string, line string) bool {
	for _, l := range lines {
		if l == line {
			return true
		}
	}
	return false
}

func TestGroups(t *testing.T) {
	for _, bad := range [][]string{{"--group=65536"}, {"--group=1", "--group=1"}, {"--group=-1"}} {
		if _, err := read(bad...); err == nil || !strings.Contains(err.Error(), "--group") {
			t.Errorf("%v: %v", bad, err)
		}
	}
	o, err := read("--group=0", "--group=65535,5")
	if diff := cmp.Diff([]uint{0, 65535, 5}, o.groups); err != nil || diff != "" {
		t.Errorf("%v: -want +got:\n%s", err, diff)
	}
}

func TestExitStatus(t *testing.T) {
	tests := []struct {
		args []string
		want int
	}{
		{[]string{"version"}, 0},
		{[]string{"--version"}, 0},
		{[]string{"run", "--help"}, 0},
		{[]string{"run", "--no-such"}, exitUsage},
		{[]string{"run", "--kubeconfig", "/no/such/file"}, exitUsage},
		{[]string{"fly"}, exitUsage},
		{[]string{"fly", "--help"}, exitUsage},
		{[]string{"--help", "fly"}, exitUsage},
		{[]string{"--help"}, 0},
		{[]string{"help"}, 0},
		{[]string{"help", "run"}, 0},
		{[]string{"help", "help"}, 0},
		{[]string{"help", "fly"}, exitUsage},
		{[]string{"help", "run", "fly"}, exitUsage},
		{[]string{"version", "--no-such"}, exitUsage},
		{[]string{"version", "now"}, exitUsage},
	}
	for _, tt := range tests {
		root := rootCommand()
		root.SetArgs(tt.args)
		root.SetOut(io.Discard)
		if got := statusOf(execute(t.Context(), root)); got != tt.want {
			t.Errorf("%v: exit status %d, want %d", tt.args, got, tt.want)
		}
	}
}

// TestMistakes compares what people read when they mistype.
func TestMistakes(t *testing.T) {
	t.Setenv("KUBECONFIG", "/no/such/file")
	tests := []struct{ line, want string }{
		{"doctor --group x", `--group: "x" is not a number, or several with commas between`},
		{"rules --before many", `--before: "many" is not a whole number`},
		{"rules --group", `--group: needs a value`},
		{"run --prefix", `--prefix: needs a value`},
		{"doctr --help", "unknown command \"doctr\" for \"kube-nflog\"\n\nDid you mean this?\n\tdoctor\n"},
		{"help doctr", "unknown command \"doctr\" for \"kube-nflog\"\n\nDid you mean this?\n\tdoctor\n"},
		{"help run fly", "unknown command \"fly\" for \"kube-nflog run\""},
		{"watch --nope", `--nope: no such flag, see --help`},
		{"watch -n", `-n: no such flag, see --help`},
		{"watch --namespace Shop", `--namespace: "Shop" is no name of a namespace`},
		{"watch --namespace shop/api", `--namespace: "shop/api" is no name of a namespace`},
		{"watch --pod shop/api/web", `--pod: "shop/api/web" is no name of a pod`},
		{"watch --policy /api", `--policy: "/api" is no name of a policy`},
		{"watch --reason=", `--reason: must not be empty`},
		{"watch --for=-5m", `--for: -5m0s is negative`},
		{"watch --agent --group 5", `--group: goes without --agent, which has groups of its own`},
		{"watch --protocol tcp,tpc", `--protocol: "tpc" is no protocol such as tcp, udp, icmp, icmpv6 or sctp`},
		{"doctor", "KUBECONFIG: there is no file /no/such/file"},
		{"rules --for k3s --prefix x", `--prefix: goes without --for k3s`},
		{"explain --from a/b --to c/d --port 80", `KUBECONFIG: there is no file /no/such/file`},
	}
	for _, tt := range tests {
		root := rootCommand()
		root.SetArgs(strings.Fields(tt.line))
		root.SetOut(io.Discard)
		err := execute(t.Context(), root)
		if err == nil || statusOf(err) != exitUsage || err.Error() != tt.want {
			t.Errorf("%s: exit status %d: %v, want %d: %s", tt.line, statusOf(err), err, exitUsage, tt.want)
		}
	}
}

// TestEveryFlagIsExplained keeps --help complete.
func TestEveryFlagIsExplained(t *testing.T) {
	walk(rootCommand(), func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s: no short help", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s: no help", c.CommandPath(), f.Name)
			}
		})
	})
}

func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, sub := range c.Commands() {
		walk(sub, visit)
	}
}
