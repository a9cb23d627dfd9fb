package jsonline

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/emittest"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
)

// The flows and endpoints of tests.
var (
	pod      = emittest.Pod
	external = emittest.External
	tcp      = emittest.TCP
	start    = emittest.Start()
)

func TestJSONLines(t *testing.T) {
	front, back := pod("shop", "frontend-5b9", "10.0.0.5"), pod("shop", "api-7c4", "10.0.1.7")
	front.Workload = "Deployment/frontend"
	syn := tcp(front, back, 8080, 12)
	syn.Prefix, syn.In, syn.Out = "calico-drop:", 7, 2
	syn.LastSeen = syn.LastSeen.Add(1500 * time.Millisecond)
	ping := tcp(external("2001:db8::1"), back, 0, 3)
	ping.Source.Name = `a"<b>.example`
	ping.Family, ping.Protocol, ping.HasPorts = decode.IPv6, decode.ICMPv6, false
	ping.HasICMP, ping.ICMPType, ping.Hook = true, 128, decode.HookInput
	overflow := flow.Flow{
		Group: 100, Hook: decode.HookForward, Family: decode.IPv4, Protocol: decode.TCP, Overflow: true,
		Destination: back.IP, FirstSeen: start, LastSeen: start, Packets: 5000, Bytes: 300000,
	}

	var out bytes.Buffer
	w := NewEncoder(&out, "n1", func(i uint32) string { return map[uint32]string{7: "cali1", 2: "eth0"}[i] })
	for _, d := range []*emit.DroppedFlow{syn, ping, {Flow: overflow, Destination: back}} {
		if err := w.Encode(d); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(filepath.Join("testdata", "lines.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// failing is a writer. Its writes with the numbers in the list fail.
type failing struct {
	io.Writer

	writes int
	fail   map[int]bool // by number of the write, from 1
}

func (f *failing) Write(b []byte) (int, error) {
	f.writes++
	if f.fail[f.writes] {
		return 0, errors.New("no space left on device")
	}
	return f.Writer.Write(b)
}

// TestUnwrittenLinesAreCounted prints five lines, of which three fail. The others must come
// out, each failure must be counted, and each row of failures must be logged once.
func TestUnwrittenLinesAreCounted(t *testing.T) {
	var out, log bytes.Buffer
	unwritten := prometheus.NewCounter(prometheus.CounterOpts{Name: "unwritten"})
	s := New(&failing{Writer: &out, fail: map[int]bool{2: true, 3: true, 5: true}}, Config{
		NodeName: "n1", Unwritten: unwritten, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for i := range 5 {
		s.Add(&emit.DroppedFlow{Flow: flow.Flow{Packets: uint64(i + 1)}})
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"packets":1,`) || !strings.Contains(lines[1], `"packets":4,`) {
		t.Errorf("lines 1 and 4 should have come out, got\n%s", out.String())
	}
	if got := testutil.ToFloat64(unwritten); got != 3 {
		t.Errorf("%v lines counted as unwritten, want 3", got)
	}
	if got := strings.Count(log.String(), "no space left on device"); got != 2 {
		t.Errorf("%d rows of failures logged, want 2:\n%s", got, log.String())
	}
}

// TestWhy checks the reason and the policies in a line.
func TestWhy(t *testing.T) {
	front, back := pod("shop", "frontend-5b9", "10.0.0.5"), pod("shop", "api-7c4", "10.0.1.7")
	f := tcp(front, back, 8080, 12)
	f.Reason = policy.Reason{Code: policy.ReasonDeniedIngress, Text: "denied by NetworkPolicy shop/a", Policies: []string{"shop/a", "shop/b"}}
	var out bytes.Buffer
	w := NewEncoder(&out, "n1", nil)
	if err := w.Encode(f); err != nil {
		t.Fatal(err)
	}
	const tail = `"packets":12,"bytes":720,"tcpFlags":"SYN","reasonCode":"denied_ingress","reason":"denied by NetworkPolicy shop/a","policies":["shop/a","shop/b"]}` + "\n"
	if !strings.HasSuffix(out.String(), tail) {
		t.Errorf("the line does not end with\n%s:\n%s", tail, out.String())
	}
}

// TestAtLeast checks that a line says that a rule has a limit.
func TestAtLeast(t *testing.T) {
	front, api := pod("shop", "front", "10.0.0.5"), pod("shop", "api", "10.0.1.7")
	f := tcp(front, api, 80, 2)
	var out strings.Builder
	w := NewEncoder(&out, "n1", nil)
	for _, atLeast := range []bool{true, false} {
		f.Reason.AtLeast = atLeast
		if err := w.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	lines := slices.Collect(strings.Lines(out.String()))
	if !strings.Contains(lines[0], `"packets":2,"packetsAtLeast":true,`) || strings.Contains(lines[1], "AtLeast") {
		t.Errorf("lines of a rule with a limit and of one without:\n%s", out.String())
	}
}
