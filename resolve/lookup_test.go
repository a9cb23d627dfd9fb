package resolve

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestLookupBetween asks about windows around the moment when an address changes from one
// pod to another. A pod is named only if it had the address at the first packet and at the
// last.
func TestLookupBetween(t *testing.T) {
	tests := map[string]struct {
		first, last time.Duration // after noon
		want        string        // name of the pod, "" for an ambiguous answer
	}{
		"one packet of the first owner":  {first: 70 * time.Second, last: 70 * time.Second, want: "old"},
		"the first owner's window":       {first: 65 * time.Second, last: 90 * time.Second, want: "old"},
		"the second owner's window":      {first: 130 * time.Second, last: 150 * time.Second, want: "new"},
		"a window of both":               {first: 70 * time.Second, last: 150 * time.Second},
		"a window of both, by its edges": {first: 94 * time.Second, last: 126 * time.Second},
		"a clock that was set back":      {first: 150 * time.Second, last: 70 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := newTeller(t, Config{})
			c.tell(madePod("old", "10.0.0.5"))
			c.clock = 100 * time.Second
			c.gone("shop/old")
			c.clock = 120 * time.Second
			c.tell(change(madePod("new", "10.0.0.5"), func(p *corev1.Pod) {
				p.Status.Conditions[0].LastTransitionTime = *at(120 * time.Second)
			}))
			c.clock = 4 * time.Minute
			proven(c.history, c.now())
			got, _ := c.LookupBetween(addr("10.0.0.5"), noon().Add(tt.first), noon().Add(tt.last))
			if got.Name != tt.want || got.Ambiguous != (tt.want == "") {
				t.Errorf("it is %+v, want %q", got, tt.want)
			}
		})
	}
}
