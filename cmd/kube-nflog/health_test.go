//go:build linux

package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestHealthy beats and rests the goroutines of two groups and asks later.
func TestHealthy(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	tests := []struct {
		name  string
		do    func(r *receiver, d *deliverer) // the second group's
		after time.Duration
		want  string // of the answer; "" for well
	}{
		{"before the start", func(*receiver, *deliverer) {}, time.Hour, ""},
		{"working", func(r *receiver, d *deliverer) { r.pulse.beat(start); d.pulse.beat(start) }, stuckAfter, ""},
		{"a reader that is stuck", func(r *receiver, _ *deliverer) { r.pulse.beat(start) }, stuckAfter + 1, "the reader of group 7 is stuck"},
		{"flows that go nowhere", func(_ *receiver, d *deliverer) { d.pulse.beat(start) }, stuckAfter + 1, "the flows of group 7 are not consumed"},
		{"nothing to deliver", func(_ *receiver, d *deliverer) { d.pulse.beat(start); d.pulse.rest() }, time.Hour, ""},
		{"recovered", func(r *receiver, _ *deliverer) {
			r.pulse.beat(start)
			r.pulse.beat(start.Add(time.Minute))
		}, stuckAfter + time.Minute, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := start
			a := &agent{
				now:        func() time.Time { return now },
				receivers:  []*receiver{{group: 100}, {group: 7}},
				deliverers: []*deliverer{{}, {}},
			}
			tt.do(a.receivers[1], a.deliverers[1])
			now = start.Add(tt.after)
			answered := httptest.NewRecorder()
			answer(a.healthy)(answered, nil)
			status, want := http.StatusOK, "ok"
			if tt.want != "" {
				status, want = http.StatusServiceUnavailable, tt.want
			}
			if answered.Code != status || !strings.Contains(answered.Body.String(), want) {
				t.Errorf("%d %q, want %d %q", answered.Code, answered.Body, status, want)
			}
		})
	}
}
