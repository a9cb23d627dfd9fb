//go:build linux

package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestListensFirst starts an agent whose address is taken, and whose kubeconfig
// does not exist: the address fails first, as it is taken before anything that
// can be slow.
func TestListensFirst(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var o options
	o.define(pflag.NewFlagSet("run", pflag.ContinueOnError))
	o.listen, o.kubeconfig = l.Addr().String(), t.TempDir()+"/none"
	_, err = newAgent(t.Context(), &o, io.Discard, slog.New(slog.DiscardHandler))
	if err == nil || !strings.HasPrefix(err.Error(), "--listen "+o.listen) {
		t.Errorf("%v, want an error of --listen", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	// It gives the address back when something else fails.
	for range 2 {
		_, err = newAgent(t.Context(), &o, io.Discard, slog.New(slog.DiscardHandler))
		if err == nil || !strings.HasPrefix(err.Error(), "--kubeconfig") {
			t.Errorf("%v, want an error of --kubeconfig", err)
		}
	}
}

// TestProbesWhileOpening asks an agent that has nothing yet but its server.
func TestProbesWhileOpening(t *testing.T) {
	a := &agent{}
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
