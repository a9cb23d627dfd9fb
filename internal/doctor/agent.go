package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// agent checks the metrics of the agent that runs on this host.
func agent(ctx context.Context, cfg *Config) []Finding {
	const check = "agent"
	for _, address := range cfg.Agents {
		m, err := scrape(ctx, address)
		if err != nil || m["kube_nflog_packets_received_total"] == nil {
			continue
		}
		var found []Finding
		for _, g := range cfg.Groups {
			found = append(found, ok(check, "an agent runs and answers at %s; it has received %.0f packets of group %d",
				address, m.sum("kube_nflog_packets_received_total", "group", fmt.Sprint(g)), g))
		}
		return append(found, m.examine(ctx, address)...)
	}
	return []Finding{note(check, "say where it listens by --agent-address, or look whether one runs on this node: kubectl -n kube-nflog get pods -o wide",
		"no agent answers on this host at %s", strings.Join(cfg.Agents, ", "))}
}

// agentGroups returns the groups that the agent on this host reads, none if no agent
// answers at one of the addresses. It does not wait long for an address, so that the checks
// still end in time.
func agentGroups(ctx context.Context, addresses []string) (groups []uint16) {
	for _, address := range addresses {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		m, _ := scrape(ctx, address) // another check reports why it does not answer
		cancel()
		for _, counter := range m["kube_nflog_packets_received_total"].GetMetric() {
			if g, err := strconv.ParseUint(labelOf(counter, "group"), 10, 16); err == nil {
				groups = append(groups, uint16(g))
			}
		}
		if len(groups) > 0 {
			break
		}
	}
	return groups
}

// families are metric families by name.
type families map[string]*dto.MetricFamily

func scrape(ctx context.Context, address string) (families, error) {
	body, err := get(ctx, "http://"+address+"/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(strings.NewReader(body))
}

// get returns the first 16 MiB of a page. A status other than success is an error.
func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	// It does not use the environment's proxy, because the agent is on this host.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	return string(text), nil
}

// sum adds up the counters and gauges of a family that have the label value.
func (f families) sum(name, label, value string) (sum float64) {
	for _, m := range f[name].GetMetric() {
		if label == "" || labelOf(m, label) == value {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// examine returns findings for the counters.
func (f families) examine(ctx context.Context, address string) []Finding {
	var found []Finding
	if _, err := get(ctx, "http://"+address+"/readyz"); err != nil {
		found = append(found, problem("agent-ready", "see the other findings, and the agent's log", "the agent is not ready: %v", err))
	}
	if lost := f.sum("kube_nflog_packets_lost_total", "", ""); lost > 0 {
		found = append(found, note("agent-losses", "give the agent more CPU, or the rules a limit: kube-nflog rules --limit 50/second",
			"the kernel could not deliver %.0f packets since the agent started", lost))
	}
	if ignored := f.sum("kube_nflog_packets_ignored_total", "", ""); ignored > 0 {
		found = append(found, note("agent-ignored", "compare --prefix with the rules' prefixes",
			"the agent ignored %.0f packets, whose prefix its --prefix does not want", ignored))
	}
	if reasons := f.byLabel("kube_nflog_event_flows_suppressed_total", "reason"); reasons != "" {
		found = append(found, note("agent-suppressed", "docs/metrics.md says what the reasons mean",
			"ends of flows that got no event: %s", reasons))
	}
	if results := f.failedWrites(); results != "" {
		found = append(found, note("agent-writes", "look at the rights, and at the API server's health; counts are kept and written later",
			"calls to write events that did not succeed: %s", results))
	}
	return found
}

// byLabel returns the values above 0 of a family, by one of its labels, as text.
func (f families) byLabel(name, label string) string {
	var texts []string
	for _, m := range f[name].GetMetric() {
		if v := m.GetCounter().GetValue(); v > 0 {
			texts = append(texts, fmt.Sprintf("%s %.0f", labelOf(m, label), v))
		}
	}
	return strings.Join(texts, ", ")
}

func (f families) failedWrites() string {
	var texts []string
	for _, m := range f["kube_nflog_event_writes_total"].GetMetric() {
		// After these two results a write continues, see emit.
		result := labelOf(m, "result")
		if result != "ok" && result != "exists" && result != "missing" && m.GetCounter().GetValue() > 0 {
			texts = append(texts, fmt.Sprintf("%s %s %.0f", labelOf(m, "operation"), result, m.GetCounter().GetValue()))
		}
	}
	return strings.Join(texts, ", ")
}
