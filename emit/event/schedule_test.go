package event

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIntervals(t *testing.T) {
	for _, tt := range []struct {
		name               string
		aggregate, crowded bool
		want               []time.Duration
	}{
		{"an aggregate", true, true, []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute}},
		{"a pod with few flows", false, false, []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 5 * time.Minute}},
		{"a pod with an aggregate", false, true, []time.Duration{time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []time.Duration
			interval := time.Duration(0)
			for range tt.want {
				interval = nextInterval(interval, tt.aggregate, tt.crowded)
				got = append(got, interval)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("intervals (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDueAt(t *testing.T) {
	after := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	for _, tt := range []struct {
		name               string
		lastWrite, lastAdd time.Time
		interval           time.Duration
		want               time.Time
	}{
		{"a new flow at once", time.Time{}, after(3), 0, after(3)},
		{"a flow that goes on at its interval", after(0), after(50), time.Minute, after(60)},
		{"a flow that ended early", after(0), after(5), time.Minute, after(35)},
		{"a flow that ended within the first interval", after(0), after(5), 10 * time.Second, after(10)},
		{"a flow that paused, at a long interval", after(0), after(20), 5 * time.Minute, after(170)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, dueAt(tt.lastWrite, tt.lastAdd, tt.interval)); diff != "" {
				t.Errorf("due (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	var got []time.Duration
	for n := range 6 {
		got = append(got, retryAfter(n+1))
	}
	want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second, 8 * time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}
