//go:build linux

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/emit/metric"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// allMetrics returns the row of docs/metrics.md of each metric that an agent
// can have, from the metrics themselves.
func allMetrics(t *testing.T) (rows []string) {
	t.Helper()
	var o options
	o.define(pflag.NewFlagSet("run", pflag.ContinueOnError))
	o.apiServer = "http://127.0.0.1:1" // never asked
	kube, err := kubeClients(&o)
	if err != nil {
		t.Fatal(err)
	}
	rules, err := dialect.NewParser(dialect.Auto, "")
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics()
	newFollowers(m.registry)
	boundConnections(nil, m.registry)
	endpoints, events := o.resolveConfig(), o.emitConfig()
	endpoints.Registerer, events.Registerer = m.registry, m.registry
	if _, err := resolve.New(endpoints, kube.core); err != nil {
		t.Fatal(err)
	}
	if _, err := event.New(events, kube.core); err != nil {
		t.Fatal(err)
	}
	if _, err := metric.New(metric.Config{Tailer: true, Registerer: m.registry}); err != nil {
		t.Fatal(err)
	}
	why := explain.Config{NodeName: "n1", Rules: rules, Registerer: m.registry}
	if _, err := explain.New(why, kube.core, kube.networking); err != nil {
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

// TestDocumentedFlagsExist looks at each command line in the documents.
func TestDocumentedFlagsExist(t *testing.T) {
	commands := map[string]*cobra.Command{}
	for _, c := range rootCommand().Commands() {
		commands[c.Name()] = c
	}
	line := regexp.MustCompile(`kube-nflog (run|watch|rules|doctor|version)\b([^|#` + "`" + `\n]*)`)
	flag := regexp.MustCompile(`(?:^|\s)--([a-z0-9-]+)`)
	quoted := regexp.MustCompile(`"[^"]*"|'[^']*'`)
	found := 0
	for _, doc := range documents(t) {
		for _, m := range line.FindAllStringSubmatch(readDoc(t, doc), -1) {
			for _, f := range flag.FindAllStringSubmatch(quoted.ReplaceAllString(m[2], ""), -1) {
				found++
				if f[1] != "help" && commands[m[1]].Flags().Lookup(f[1]) == nil {
					t.Errorf("%s: kube-nflog %s has no --%s", doc, m[1], f[1])
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d flags were found: the documents are not read right", found)
	}
}

// TestFlagsInProse looks at the flags that documents name in passing: each is
// one of some command's, or of a program that is named here.
func TestFlagsInProse(t *testing.T) {
	known := map[string]bool{
		"nflog-group": true, "nflog-size": true, "nflog-threshold": true, "nflog-prefix": true, // iptables
		"namespace": true, "wait": true, "event-ttl": true, // helm and the API server
		"reuse-values": true, "reset-then-reuse-values": true, // helm
	}
	walk(rootCommand(), func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
	})
	for _, doc := range documents(t) {
		for _, m := range regexp.MustCompile("`--([a-z0-9-]+)[^`]*`").FindAllStringSubmatch(readDoc(t, doc), -1) {
			if !known[m[1]] {
				t.Errorf("%s: there is no --%s", doc, m[1])
			}
		}
	}
}

// TestFindingsAreDocumented compares docs/troubleshooting.md with the names of
// doctor's checks.
func TestFindingsAreDocumented(t *testing.T) {
	checks := map[string]bool{}
	name := regexp.MustCompile(`(?:const check = |(?:ok|note|problem)\(|Finding\{)"([a-z-]+)"`)
	for _, file := range []string{"kernel.go", "rules.go", "settings.go", "api.go", "agent.go"} {
		for _, m := range name.FindAllStringSubmatch(readDoc(t, "internal/doctor/"+file), -1) {
			checks[m[1]] = true
		}
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(readDoc(t, "docs/troubleshooting.md"), -1) {
		documented[m[1]] = true
	}
	if diff := cmp.Diff(checks, documented); diff != "" {
		t.Errorf("docs/troubleshooting.md, -want +got:\n%s", diff)
	}
}

// TestTailerVariablesAreDocumented compares docs/migrating.md with the
// variables that are read.
func TestTailerVariablesAreDocumented(t *testing.T) {
	var o options
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	o.define(flags)
	text := readDoc(t, "docs/migrating.md")
	flags.VisitAll(func(f *pflag.Flag) {
		for _, v := range environment(f.Name) {
			if strings.HasPrefix(v.name, "KUBE_NFLOG_") || v.name == "NODE_NAME" || v.name == "NFLOG_GROUP" {
				continue
			}
			if want := "| `" + v.name + "` | `--" + f.Name + "` |"; !strings.Contains(text, want) {
				t.Errorf("docs/migrating.md has no row that begins with %s", want)
			}
		}
	})
}

// documents are all that are for users.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"README.md", "SECURITY.md", "CONTRIBUTING.md"}
	entries, err := os.ReadDir("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".md") {
			files = append(files, "docs/"+e.Name())
		}
	}
	return files
}

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
