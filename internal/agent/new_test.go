//go:build linux

package agent

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestListensFirst starts an agent whose address is taken, and whose pattern for
// prefixes is wrong: the address fails first, as it is taken before anything that
// can be slow.
func TestListensFirst(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Listen: l.Addr().String(), PrefixPattern: "no group", Logger: slog.New(slog.DiscardHandler)}
	_, err = New(t.Context(), cfg)
	if err == nil || !strings.HasPrefix(err.Error(), "--listen "+cfg.Listen) {
		t.Errorf("%v, want an error of --listen", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	// It gives the address back when something else fails.
	for range 2 {
		_, err = New(t.Context(), cfg)
		if err == nil || !errors.As(err, new(ConfigError)) {
			t.Errorf("%v, want an error of the pattern", err)
		}
	}
}

// TestProbesWhileOpening asks an agent that has nothing yet but its server.
func TestProbesWhileOpening(t *testing.T) {
	a := &Agent{}
	a.opening.Store(true)
	for _, c := range []struct {
		name  string
		check check
		want  int
	}{
		{"healthz", a.healthy, http.StatusOK},
		{"readyz", a.ready, http.StatusServiceUnavailable},
	} {
		answered := httptest.NewRecorder()
		answer(c.check)(answered, nil)
		if answered.Code != c.want {
			t.Errorf("%s: %d %q, want %d", c.name, answered.Code, answered.Body, c.want)
		}
	}
}
