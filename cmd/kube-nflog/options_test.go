//go:build linux

package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		if !slices.Contains(got, w) {
			t.Errorf("missing: %s", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d mistakes reported, want %d:\n%s", len(got), len(want), err)
	}
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
