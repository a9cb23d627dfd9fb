package monitoring

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// TestDashboard parses the expressions of each panel. A test in cmd/kube-nflog checks that
// the agent has these metrics and labels.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../deploy/monitoring/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	parsed := 0
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			// Grafana replaces this variable by a range.
			if _, err := parser.ParseExpr(strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")); err != nil {
				t.Errorf("%s: %v", panel.Title, err)
			}
			parsed++
		}
	}
	if parsed < 10 {
		t.Errorf("only %d expressions were found", parsed)
	}
}
