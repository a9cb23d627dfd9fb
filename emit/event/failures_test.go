package event

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// TestCausesAreLoggedOnce has events refused in more namespaces than are
// remembered, again and again: the log does not grow with the attempts.
func TestCausesAreLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	c := failureLog{logger: slog.New(slog.NewTextHandler(&log, nil)), logged: map[string]time.Time{}}
	note := func(n int, err error, at time.Time) {
		j := &request{op: opPost, namespace: fmt.Sprintf("locked-%d", n), name: "api.1"}
		c.note(j, classify(t.Context(), j, err), at)
	}
	noRight := apierrors.NewForbidden(eventsResource, "", errors.New("no right"))
	lines := func() int { return strings.Count(log.String(), "\n") }
	for round := range 20 {
		for n := range maxCauses + 44 {
			note(n, noRight, start.Add(time.Duration(round)*30*time.Second))
		}
	}
	if got, want := lines(), maxCauses+1; got != want {
		t.Errorf("%d lines are logged, want one for each of %d namespaces and one for the others:\n%s", got, maxCauses, log.String())
	}
	log.Reset()
	note(0, nil, start.Add(11*time.Minute))
	note(maxCauses, noRight, start.Add(12*time.Minute))
	if got := lines(); got != 1 {
		t.Errorf("%d lines for another namespace when one has recovered, want 1:\n%s", got, log.String())
	}
	log.Reset()
	later := start.Add(2 * causeTTL)
	for n := range maxCauses {
		note(1000+n, noRight, later)
	}
	if got := lines(); got != maxCauses || len(c.logged) > maxCauses {
		t.Errorf("%d lines and %d causes remembered when the old ones came no more, want %d", got, len(c.logged), maxCauses)
	}
}

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

// TestRefused asks an emitter whose writes are all forbidden, and again
// when they are let through.
func TestRefusedByNamespace(t *testing.T) {
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
