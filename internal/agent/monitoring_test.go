//go:build linux

package agent

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMonitoring checks that the agent has each metric and label that the alerts and the
// dashboard name.
func TestMonitoring(t *testing.T) {
	labels := map[string][]string{}
	for _, row := range allMetrics(t) {
		cells := strings.Split(row, "|")
		name := strings.Trim(cells[1], " `")
		labels[name] = strings.Split(strings.ReplaceAll(strings.TrimSpace(cells[2]), "`", ""), ", ")
		if strings.HasSuffix(name, "_duration_seconds") {
			labels[name+"_bucket"] = append(slices.Clone(labels[name]), "le")
		}
	}
	expressions := append(alertExpressions(t), dashboardExpressions(t)...)
	if len(expressions) < 15 {
		t.Errorf("only %d expressions were found", len(expressions))
	}
	used := regexp.MustCompile(`(?:by \(|, |\{)([a-z_]+)(?:[,)]|=|!|\b)`)
	for _, e := range expressions {
		if strings.Count(e, "(") != strings.Count(e, ")") || strings.Count(e, "{") != strings.Count(e, "}") {
			t.Errorf("unbalanced: %s", e)
		}
		names := regexp.MustCompile(`\b(kube_nflog_[a-z_]+)`).FindAllString(e, -1)
		known := []string{"job", "node", "sum", "rate"} // who was asked; and functions
		for _, name := range names {
			if labels[name] == nil {
				t.Errorf("the agent has no %s: %s", name, e)
			}
			known = append(known, name)
			known = append(known, labels[name]...)
		}
		for _, m := range used.FindAllStringSubmatch(e, -1) {
			if !slices.Contains(known, m[1]) && !strings.HasPrefix(m[1], "process_") {
				t.Errorf("none of %v has the label %s: %s", names, m[1], e)
			}
		}
	}
}

// alertExpressions returns the values of "expr:", on one line or several.
func alertExpressions(t *testing.T) (found []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)expr: (?:\|-\n((?: {8}.*\n)+)|(.+)$)`).FindAllStringSubmatch(readDoc(t, "deploy/helm/kube-nflog/monitoring/alerts.yaml"), -1) {
		found = append(found, strings.TrimSpace(m[1]+m[2]))
	}
	return found
}

func dashboardExpressions(t *testing.T) (found []string) {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readDoc(t, "deploy/monitoring/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboard.Panels {
		if p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("a panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			found = append(found, target.Expr)
		}
	}
	return found
}
