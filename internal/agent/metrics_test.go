//go:build linux

package agent

import (
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/rest"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/internal/kube"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// allMetrics returns a row of docs/metrics.md for each metric that an agent can have. It
// makes the rows from the metrics themselves.
func allMetrics(t *testing.T) (rows []string) {
	t.Helper()
	clients, err := kube.NewClients(&rest.Config{Host: "http://127.0.0.1:1"}) // never asked
	if err != nil {
		t.Fatal(err)
	}
	rules, err := dialect.NewParser(dialect.Auto, "")
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics("dev")
	newFollowers(m.registry)
	boundConnections(nil, m.registry)
	endpoints := resolve.Config{NodeName: "n1", DNS: net.DefaultResolver, NamespaceEvents: true, PodLabels: true, Registerer: m.registry}
	events := event.Config{NodeName: "n1", Registerer: m.registry}
	if _, err := resolve.New(endpoints, clients.Core); err != nil {
		t.Fatal(err)
	}
	if _, err := event.New(events, clients.Core); err != nil {
		t.Fatal(err)
	}
	if _, err := metric.New(metric.Config{NodeName: "n1", Tailer: true, Registerer: m.registry}); err != nil {
		t.Fatal(err)
	}
	why := explain.Config{NodeName: "n1", Rules: rules, Registerer: m.registry}
	if _, err := explain.New(why, clients.Core, clients.Networking); err != nil {
		t.Fatal(err)
	}
	descriptions := make(chan *prometheus.Desc)
	go func() {
		defer close(descriptions)
		m.registry.Describe(descriptions)
	}()
	parts := regexp.MustCompile(`fqName: "(.*?)", help: "(.*)", constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}`)
	for d := range descriptions {
		p := parts.FindStringSubmatch(d.String())
		if p == nil {
			t.Fatalf("not understood: %s", d)
		}
		if strings.HasPrefix(p[1], "go_") || strings.HasPrefix(p[1], "process_") {
			continue
		}
		constant := regexp.MustCompile(`="[^"]*"`).ReplaceAllString(p[3], "")
		labels := strings.FieldsFunc(constant+","+p[4], func(r rune) bool { return r == ',' })
		text := ""
		if len(labels) > 0 {
			text = "`" + strings.Join(labels, "`, `") + "`"
		}
		rows = append(rows, "| `"+p[1]+"` | "+text+" | "+p[2]+" |")
	}
	slices.Sort(rows)
	return rows
}

// TestMetricsAreDocumented compares docs/metrics.md with the metrics.
func TestMetricsAreDocumented(t *testing.T) {
	var documented []string
	for line := range strings.Lines(readDoc(t, "docs/metrics.md")) {
		if strings.HasPrefix(line, "| `kube_nflog_") || strings.HasPrefix(line, "| `packet_drops_count") {
			documented = append(documented, strings.TrimSpace(line))
		}
	}
	slices.Sort(documented)
	if diff := cmp.Diff(allMetrics(t), documented); diff != "" {
		t.Errorf("docs/metrics.md, -want +got:\n%s", diff)
	}
}

// readDoc reads a file of the repository.
func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
