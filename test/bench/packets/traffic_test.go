package main

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// numbers returns the flows of all packets of a generator that has sent some before.
func (t traffic) numbers(before int) []int {
	order, flows := t.order(), make([]int, t.Packets)
	for i := range flows {
		flows[i] = order(before + i)
	}
	return flows
}

// TestWarmUp checks that each flow appears equally often in the warm-up, also if flows
// are random afterwards and wherever the last warm-up ended.
func TestWarmUp(t *testing.T) {
	for _, tt := range []struct {
		of   traffic
		want traffic
		each int
	}{
		{traffic{Rate: 1000, Flows: 1, Packets: 10}, traffic{Rate: 10_000, Flows: 1, Packets: 1000}, 1000},
		{traffic{Flows: 100, Packets: 10}, traffic{Rate: 10_000, Flows: 100, Packets: 1000}, 10},
		{traffic{Flows: manyFlows, Packets: 10}, traffic{Rate: 50_000, Flows: manyFlows, Packets: 2 * manyFlows}, 2},
		{traffic{Flows: manyFlows, Packets: 10, Random: true}, traffic{Rate: 50_000, Flows: manyFlows, Packets: 2 * manyFlows}, 2},
	} {
		got := tt.of.warmUp()
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("for %s: -want +got:\n%s", tt.of, diff)
		}
		times := make([]int, tt.of.Flows)
		for _, flow := range got.numbers(12_345) {
			times[flow]++
		}
		if slices.Min(times) != tt.each || slices.Max(times) != tt.each {
			t.Errorf("for %s: each flow comes %d to %d times, want %d", tt.of, slices.Min(times), slices.Max(times), tt.each)
		}
	}
}

// TestRandomOrder checks that the random flows are the same each time, are not in turn,
// and are evenly distributed.
func TestRandomOrder(t *testing.T) {
	const flows, each = 64, 1000
	random := traffic{Flows: flows, Packets: flows * each, Random: true}
	got := random.numbers(0)
	if !slices.Equal(got, random.numbers(7)) {
		t.Error("the next reader would get other flows")
	}
	times, followed := make([]int, flows), 0
	for i, flow := range got {
		times[flow]++
		if i > 0 && flow == (got[i-1]+1)%flows {
			followed++
		}
	}
	// The standard deviation of each is about 32.
	if slices.Min(times) < each-200 || slices.Max(times) > each+200 || followed < each-200 || followed > each+200 {
		t.Errorf("%d flows come %d to %d times, and one follows on the one before %d times, want about %d",
			flows, slices.Min(times), slices.Max(times), followed, each)
	}
}

// TestScenarioTexts checks the texts of a scenario in the table and the JSON.
func TestScenarioTexts(t *testing.T) {
	all, err := scenarios("", 2*time.Second, 7)
	if err != nil {
		t.Fatal(err)
	}
	var names, got []string
	for _, s := range all {
		names, got = append(names, s.Name), append(got, s.String())
	}
	want := []string{
		"1000/s: 2000 packets, 1000 a second, one flow",
		"50000/s: 100000 packets, 50000 a second, one flow",
		"flood: 7 packets, as fast as one core can, one flow",
		"50000/s-65536-flows: 100000 packets, 50000 a second, 65536 flows in turn",
		"flood-65536-flows: 7 packets, as fast as one core can, 65536 flows in turn",
		"50000/s-65536-flows-random: 100000 packets, 50000 a second, 65536 flows at random",
		"flood-65536-flows-random: 7 packets, as fast as one core can, 65536 flows at random",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(scenarioNames(), names); diff != "" {
		t.Errorf("names: -want +got:\n%s", diff)
	}
	text, err := json.Marshal(all[len(all)-1])
	const object = `{"name":"flood-65536-flows-random","rate":0,"flows":65536,"random":true,"packets":7}`
	if err != nil || string(text) != object {
		t.Errorf("%s, %v, want %s", text, err, object)
	}
}
