// Package monitoring tests the alerts and the dashboard with Prometheus' own
// code: what "promtool check rules" and "promtool test rules" do, without
// promtool, which is of four times as many packages.
package monitoring

import (
	"os"
	"slices"
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

// alerts reads the rules as Prometheus would, which the operator hands them to.
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

// firing evaluates a rule each minute over the series, in promtool's notation,
// and returns the summaries of the alerts that fire at the end.
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
	// Its state does not change in the hours in which there is nothing new.
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

// TestAlertsFire gives each alert series that it is for, and others.
func TestAlertsFire(t *testing.T) {
	type situation struct {
		series string
		after  time.Duration // evaluated from an hour before on
		want   []string
	}
	pair := func(values string) string {
		return `  kube_nflog_drops_total{source_namespace="a",destination_namespace="b",protocol="TCP"} ` + values + "\n"
	}
	situations := map[string][]situation{
		"KubeNflogManyDrops": {
			{pair("0+1200x60"), time.Hour, []string{"Many packets from a to b are dropped"}},
			{pair("0+1200x60"), 9 * time.Minute, nil},
			{pair("0+300x60"), time.Hour, nil},
		},
		"KubeNflogNewDeniedPair": {
			{pair("_x1450 1 1"), 1451 * time.Minute, []string{"Packets from a to b are dropped, which were not a day ago"}},
			{pair("1+0x1460"), 1451 * time.Minute, nil},
		},
		"KubeNflogPacketsLost": {
			{`  kube_nflog_packets_lost_total{node="n1",group="100"} 0+1x60`, time.Hour, []string{"The kernel of n1 cannot deliver all that its rules log"}},
			{`  kube_nflog_packets_lost_total{node="n1",group="100"} 5+0x60`, time.Hour, nil},
		},
		"KubeNflogEventsSuppressed": {
			{
				"  kube_nflog_event_packets_suppressed_total{reason=\"ambiguous\"} 0+1x60\n" +
					"  kube_nflog_event_packets_suppressed_total{reason=\"not_pod\"} 0+1x60", time.Hour,
				[]string{"Drops get no event, by reason: ambiguous"},
			},
		},
		"KubeNflogEventsNotWritten": {
			{
				"  kube_nflog_event_writes_total{operation=\"create\",result=\"ok\"} 0+1x60\n" +
					"  kube_nflog_event_writes_total{operation=\"patch\",result=\"forbidden\"} 0+1x60", time.Hour,
				[]string{"Events cannot be written: patch ends with forbidden"},
			},
		},
		"KubeNflogAgentDown": {
			{"  up{job=\"kube-nflog\",node=\"n1\"} 0x60\n  up{job=\"kube-nflog\",node=\"n2\"} 1x60", time.Hour, []string{"The agent on n1 does not answer"}},
		},
		"KubeNflogAgentsGone": {
			{`  kube_nflog_build_info{node="n1"} 1x20`, time.Hour, []string{"No agent of kube-nflog is there"}},
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
		if rule.Labels["severity"] == "" || rule.For > model.Duration(time.Hour) {
			t.Errorf("%s has no severity, or comes late", name)
		}
	}
}
