package emit_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

// TestClockJumps sets the clock an hour forward and back again while a flow goes on, for
// the packets' time stamps and for the emitter. In an agent the emitter's clock is
// monotonic, so such a jump does not affect it.
func TestClockJumps(t *testing.T) {
	for _, tt := range []struct {
		name    string
		emitter bool // the emitter's clock jumps too
	}{{"the packets' clock", false}, {"every clock", true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, controlplane.Config{})
			var jump atomic.Int64
			now := func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
			cfg := event.Config{}
			if tt.emitter {
				cfg.Now = now
			}
			e := start(t, c.client(t, ""), cfg)
			api, peer := c.pod(t, "shop", "api", "10.0.1.7"), external("203.0.113.9")
			packets := int64(0)
			add := func(port uint16) {
				f := tcp(peer, api, port, 7)
				f.FirstSeen, f.LastSeen = now(), now()
				e.Add(f)
				packets += 7
			}
			// Each time the flow goes on, and a new flow comes, whose event must appear at
			// once.
			for i, by := range []time.Duration{0, time.Hour, 0, -time.Hour, 0} {
				jump.Store(int64(by))
				add(80)
				fresh := uint16(8000 + i)
				add(fresh)
				eventually(t, patience, func() bool { return c.eventOn(t, fresh) != nil },
					func() string { return "a new flow's event is not visible" })
				checkTimes(t, c.eventOn(t, fresh), now())
			}
			e.finish(t)
			if sum, _ := c.total(t, "shop"); sum != packets {
				t.Errorf("the events count %d, want %d", sum, packets)
			}
			checkTimes(t, c.eventOn(t, 80), now())
			// 6 flows: a write for each, and a few more for the flow that goes on.
			if calls := e.metric(t, "kube_nflog_event_writes_total", ""); calls > 20 {
				t.Errorf("%v calls, want no more than 20", calls)
			}
		})
	}
}

// checkTimes checks that an event's last time is now, and not before its first time.
func checkTimes(t *testing.T, ev *corev1.Event, now time.Time) {
	t.Helper()
	first, last := ev.FirstTimestamp.Time, ev.LastTimestamp.Time
	if off := now.Sub(last).Abs(); off > time.Minute {
		t.Errorf("%s: last seen %v, now it is %v", ev.Message, last, now)
	}
	if first.After(last) {
		t.Errorf("%s: first seen %v, after it was last, %v", ev.Message, first, last)
	}
}

// eventOn returns the event about a port, nil if there is none.
func (c *cluster) eventOn(t *testing.T, port uint16) *corev1.Event {
	t.Helper()
	list, err := c.Client().CoreV1().Events("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if portOf(list.Items[i].Message) == port {
			return &list.Items[i]
		}
	}
	return nil
}

// portOf returns the port in a message, 0 if there is none.
func portOf(message string) (port uint16) {
	_, after, _ := strings.Cut(message, " on port ")
	number, _, _ := strings.Cut(after, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}
