//go:build linux

package main

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy/explain"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// failing is a writer whose writes fail that stand in the list.
type failing struct {
	io.Writer

	writes int
	fail   map[int]bool // by number, from 1
}

func (f *failing) Write(b []byte) (int, error) {
	f.writes++
	if f.fail[f.writes] {
		return 0, unix.ENOSPC
	}
	return f.Writer.Write(b)
}

// TestUnwrittenLinesAreCounted prints five lines, of which three fail: the rest
// comes out, each failure is counted and each row of them logged once.
func TestUnwrittenLinesAreCounted(t *testing.T) {
	var out, log bytes.Buffer
	m := newMetrics()
	d := &deliverer{
		lines:     emit.NewJSONWriter(&failing{Writer: &out, fail: map[int]bool{2: true, 3: true, 5: true}}, "n1", nil),
		unwritten: m.unwritten, log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	for i := range 5 {
		d.write(&flow.Flow{Packets: uint64(i + 1)}, resolve.Endpoint{}, resolve.Endpoint{}, explain.Reason{})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"packets":1,`) || !strings.Contains(lines[1], `"packets":4,`) {
		t.Errorf("lines 1 and 4 should have come out, got\n%s", out.String())
	}
	if got := testutil.ToFloat64(m.unwritten); got != 3 {
		t.Errorf("%v lines counted as unwritten, want 3", got)
	}
	if got := strings.Count(log.String(), "no space left on device"); got != 2 {
		t.Errorf("%d rows of failures logged, want 2:\n%s", got, log.String())
	}
}
