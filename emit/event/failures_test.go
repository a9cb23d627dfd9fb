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
