package doctor

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// serveAgent serves metrics and readiness as an agent does, and returns the address.
// test/operate asks a real one.
func serveAgent(t *testing.T, metrics string, ready bool) (address string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, metrics) // the test fails without it
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready {
			http.Error(w, "pods are not known yet", http.StatusServiceUnavailable)
			return
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// received is the metric that every agent has.
const received = `# TYPE kube_nflog_packets_received_total counter
kube_nflog_packets_received_total{group="7"} 12
kube_nflog_packets_received_total{group="100"} 3
`

// TestAgent compares the findings about agents that lose something.
func TestAgent(t *testing.T) {
	tests := []struct {
		name, metrics string
		ready         bool
		want          []string
	}{
		{"well", received, true, []string{"ok agent: has received 12 packets of group 7"}},
		{"not ready", received, false, []string{"ok agent:", "problem agent-ready: pods are not known yet"}},
		{"losses", received + "# TYPE kube_nflog_packets_lost_total counter\nkube_nflog_packets_lost_total{group=\"7\"} 5\n", true, []string{
			"ok agent:", "note agent-losses: could not deliver 5 packets",
		}},
		{"prefixes", received + "# TYPE kube_nflog_packets_ignored_total counter\nkube_nflog_packets_ignored_total{group=\"7\"} 4\n", true, []string{
			"ok agent:", "note agent-ignored: ignored 4 packets",
		}},
		{"flows without events", received + "# TYPE kube_nflog_event_flows_suppressed_total counter\n" +
			"kube_nflog_event_flows_suppressed_total{reason=\"ambiguous\"} 2\nkube_nflog_event_flows_suppressed_total{reason=\"table_full\"} 0\n", true, []string{
			"ok agent:", "note agent-suppressed: ambiguous 2",
		}},
		{"failed writes", received + "# TYPE kube_nflog_event_writes_total counter\n" +
			"kube_nflog_event_writes_total{operation=\"create\",result=\"ok\"} 9\nkube_nflog_event_writes_total{operation=\"patch\",result=\"throttled\"} 3\n", true, []string{
			"ok agent:", "note agent-writes: patch throttled 3",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			address := serveAgent(t, tt.metrics, tt.ready)
			expect(t, agent(t.Context(), &Config{Groups: []uint16{7}, Agents: []string{address}}), tt.want)
		})
	}
}

// TestNoAgent finds no agent where nobody listens, and where another program answers.
func TestNoAgent(t *testing.T) {
	other := serveAgent(t, "# TYPE up gauge\nup 1\n", true)
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	addresses := []string{strings.TrimPrefix(server.URL, "http://"), other}
	expect(t, agent(t.Context(), &Config{Groups: []uint16{7}, Agents: addresses}), []string{"note agent: no agent answers on this host at " + strings.Join(addresses, ", ")})
	if groups := agentGroups(t.Context(), addresses); groups != nil {
		t.Errorf("groups %v", groups)
	}
}

// TestAgentGroups asks the second address, because nobody listens at the first.
func TestAgentGroups(t *testing.T) {
	groups := agentGroups(t.Context(), []string{"127.0.0.1:1", serveAgent(t, received, true)})
	if slices.Sort(groups); !slices.Equal(groups, []uint16{7, 100}) {
		t.Errorf("groups %v, want 7 and 100", groups)
	}
}
