package event

import (
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestRefused(t *testing.T) {
	noRight := apierrors.NewForbidden(eventsResource, "", errors.New("no right"))
	nobody := apierrors.NewUnauthorized("who are you")
	type call struct {
		after     time.Duration
		namespace string
		err       error
	}
	for _, tt := range []struct {
		name  string
		only  bool
		calls []call
		want  string
	}{
		{"nothing written", false, nil, ""},
		{"forbidden everywhere", false, []call{{0, "shop", noRight}, {time.Second, "bank", noRight}, {time.Minute, "shop", noRight}}, "forbids every event"},
		{"forbidden everywhere since a moment", false, []call{{0, "shop", noRight}, {59 * time.Second, "bank", noRight}}, ""},
		{"forbidden in one namespace", false, []call{{0, "shop", noRight}, {time.Hour, "shop", noRight}}, ""},
		{"forbidden in the only namespace", true, []call{{0, "shop", noRight}, {time.Minute, "shop", noRight}}, "forbids every event"},
		{"another namespace is let through", false, []call{{0, "shop", noRight}, {time.Second, "bank", noRight}, {time.Hour, "other", nil}}, ""},
		{"and refused again", false, []call{{0, "shop", noRight}, {time.Hour, "other", nil}, {time.Second, "bank", noRight}, {time.Second, "shop", noRight}}, ""},
		{"an outage between", false, []call{{0, "shop", noRight}, {time.Minute, "shop", errors.New("connection refused")}, {time.Second, "bank", noRight}}, "forbids every event"},
		{"an outage alone", false, []call{{0, "shop", errors.New("connection refused")}, {time.Hour, "bank", errors.New("connection refused")}}, ""},
		{"a namespace that is gone", false, []call{{0, "shop", noRight}, {time.Minute, "bank", noRight}, {time.Second, "old", apierrors.NewNotFound(namespacesResource, "old")}}, ""},
		{"credentials not accepted", false, []call{{0, "shop", nobody}, {time.Minute, "shop", nobody}}, "does not accept the agent's credentials"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := refusals{only: tt.only}
			now := start
			for _, c := range tt.calls {
				now = now.Add(c.after)
				j := &request{op: opPost, namespace: c.namespace, name: "api.1"}
				r.note(j, classify(t.Context(), j, c.err), now)
			}
			err := r.error()
			if (err == nil) != (tt.want == "") || (err != nil && !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestEmitterRefused asks an emitter whose writes are all forbidden, and again
// when they are let through.
func TestEmitterRefused(t *testing.T) {
	s := newFakeServer()
	refused := true
	s.fail = func(*request) error {
		if refused {
			return apierrors.NewForbidden(eventsResource, "", errors.New("no right"))
		}
		return nil
	}
	running(t, Config{}, s, func(t *testing.T, e *testSink) {
		peer := external("203.0.113.9")
		for _, namespace := range []string{"shop", "bank"} {
			self := pod(namespace, "api", "10.0.1.7")
			e.Add(now(tcp(peer, self, 80, 1)))
		}
		if err := e.Refused(); err != nil {
			t.Errorf("before the first write: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if err := e.Refused(); err == nil {
			t.Error("after two minutes of refusals nothing is wrong")
		}
		s.mu.Lock()
		refused = false
		s.mu.Unlock()
		time.Sleep(time.Minute)
		if err := e.Refused(); err != nil {
			t.Errorf("when writes are let through: %v", err)
		}
	})
}
