// Package monitoring tests the alerts and the dashboard with Prometheus' own code. It does
// what "promtool check rules" and "promtool test rules" do. It does not use promtool, which
// needs four times as many packages.
package monitoring

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"sigs.k8s.io/yaml"
)

const alertsFile = "../../deploy/helm/kube-nflog/monitoring/alerts.yaml"

// alerts reads the rules as Prometheus does when the operator gives them to it.
func alerts(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		Spec any `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	spec, err := yaml.Marshal(object.Spec)
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(spec, false)
	for _, err := range errs {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
	all := map[string]rulefmt.Rule{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			all[r.Alert] = r
		}
	}
	return all
}

// firing evaluates a rule each minute over the series, which are in promtool's notation. It
// returns the summaries of the alerts that fire at the end.
func firing(t *testing.T, rule rulefmt.Rule, series string, after time.Duration) (summaries []string) {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n"+series)
	t.Cleanup(func() {
		if err := storage.Close(); err != nil {
			t.Error(err)
		}
	})
	expr, err := parser.ParseExpr(rule.Expr)
	if err != nil {
		t.Fatal(err)
	}
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	alert := rules.NewAlertingRule(rule.Alert, expr, time.Duration(rule.For), 0,
		labels.FromMap(rule.Labels), labels.FromMap(rule.Annotations), labels.EmptyLabels(), "", true, promslog.NewNopLogger())
	query := rules.EngineQueryFunc(engine, storage)
	start := time.Unix(0, 0)
	// The rule's state does not change in the hours before, so only the last hour is
	// evaluated.
	for at := max(0, after-time.Hour); at <= after; at += time.Minute {
		if _, err := alert.Eval(t.Context(), 0, start.Add(at), query, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range alert.ActiveAlerts() {
		if a.State == rules.StateFiring {
			summaries = append(summaries, a.Annotations.Get("summary"))
		}
	}
	slices.Sort(summaries)
	return summaries
}

// hasSection returns an error unless the document in a runbook's address has the section.
func hasSection(address string) error {
	path, anchor, _ := strings.Cut(strings.TrimPrefix(address, "https://github.com/kube-nflog/kube-nflog/blob/main/"), "#")
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		return fmt.Errorf("runbook %q: %w", address, err)
	}
	for line := range strings.Lines(string(text)) {
		title, is := strings.CutPrefix(strings.TrimSpace(line), "## ")
		if is && strings.ReplaceAll(strings.ToLower(title), " ", "-") == anchor {
			return nil
		}
	}
	return fmt.Errorf("runbook %q: %s has no such section", address, path)
}

// TestAlertsFire gives each alert series for which it must fire, and series for which it
// must not.
func TestAlertsFire(t *testing.T) {
	type situation struct {
		series string
		after  time.Duration // the time of the result; evaluation starts an hour before
		want   []string
	}
	pair := func(values string) string {
		return `  kube_nflog_drops_total{source_namespace="a",destination_namespace="b",protocol="TCP"} ` + values + "\n"
	}
	agent := func(node int, values string) string {
		return fmt.Sprintf("  kube_nflog_build_info{node=\"n%d\"} %s\n", node, values)
	}
	agents := func(first, second string) string { return agent(1, first) + agent(2, second) }
	situations := map[string][]situation{
		"KubeNflogManyDrops": {
			// What a rule with kube-router's limit logs, 10 packets a minute.
			{pair("0+10x60"), time.Hour, []string{"Many packets from a to b are dropped"}},
			{pair("0+10x60"), 9 * time.Minute, nil},
			{pair("0+4x60"), time.Hour, nil},
			{pair("0x50 30+0x60"), time.Hour, nil},
		},
		"KubeNflogNewDeniedPair": {
			// All series begin at the same time, because the storage accepts no sample that
			// is much older than its first.
			{pair("1 stale _x1448 1 1") + agents("1x1460", "1x1460"), 1451 * time.Minute, []string{"Packets from a to b are dropped, and a day ago they were not"}},
			{pair("1+0x1460") + agents("1x1460", "1x1460"), 1451 * time.Minute, nil},
			// The first day. Then a day after the first of three agents started alone.
			{pair("_x10 1+1x60") + agents("1x70", "1x70"), time.Hour, nil},
			{pair("1 stale _x1448 1 1") + agents("1x1460", "1 stale _x98 1x1360") + agent(3, "1 stale _x98 1x1360"), 1451 * time.Minute, nil},
		},
		"KubeNflogPacketsLost": {
			{`  kube_nflog_packets_lost_total{node="n1",group="100"} 0+1x60`, time.Hour, []string{"The kernel of n1 loses packets that its rules log"}},
			{`  kube_nflog_packets_lost_total{node="n1",group="100"} 5+0x60`, time.Hour, nil},
		},
		"KubeNflogEventsSuppressed": {
			{
				"  kube_nflog_event_packets_suppressed_total{reason=\"ambiguous\"} 0+1x60\n" +
					"  kube_nflog_event_packets_suppressed_total{reason=\"not_pod\"} 0+1x60", time.Hour,
				[]string{"Drops get no event, reason: ambiguous"},
			},
		},
		"KubeNflogEventsNotWritten": {
			{
				"  kube_nflog_event_writes_total{operation=\"create\",result=\"ok\"} 0+1x60\n" +
					"  kube_nflog_event_writes_total{operation=\"patch\",result=\"forbidden\"} 0+1x60", time.Hour,
				[]string{"Events cannot be written: the result of patch is forbidden"},
			},
		},
		"KubeNflogAgentDown": {
			{"  up{job=\"kube-nflog\",node=\"n1\"} 0x60\n  up{job=\"kube-nflog\",node=\"n2\"} 1x60", time.Hour, []string{"The agent on n1 does not answer"}},
		},
		"KubeNflogAgentsGone": {
			{`  kube_nflog_build_info{node="n1"} 1x20`, time.Hour, []string{"Prometheus finds no kube-nflog agent"}},
			{`  kube_nflog_build_info{node="n1"} 1x60`, time.Hour, nil},
		},
	}
	for name, rule := range alerts(t) {
		if len(situations[name]) == 0 {
			t.Errorf("%s is not tested", name)
		}
		for _, s := range situations[name] {
			if diff := cmp.Diff(s.want, firing(t, rule, s.series, s.after)); diff != "" {
				t.Errorf("%s, after %v of %s: -want +got:\n%s", name, s.after, s.series, diff)
			}
		}
		if err := hasSection(rule.Annotations["runbook_url"]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if rule.Labels["severity"] == "" || rule.For > model.Duration(time.Hour) {
			t.Errorf("%s has no severity, or comes late", name)
		}
	}
}
