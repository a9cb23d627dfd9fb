package jsonline

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/emittest"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
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
	ping.Family, ping.Protocol, ping.HasPorts = decode.IPv6, decode.ICMPv6, false
	ping.HasICMP, ping.ICMPType, ping.Hook = true, 128, decode.HookInput
	overflow := flow.Flow{
		Group: 100, Hook: decode.HookForward, Family: decode.IPv4, Protocol: decode.TCP, Overflow: true,
		Destination: back.IP, FirstSeen: start, LastSeen: start, Packets: 5000, Bytes: 300000,
	}

	var out bytes.Buffer
	w := New(&out, "n1", func(i uint32) string { return map[uint32]string{7: "cali1", 2: "eth0"}[i] })
	for _, l := range []struct {
		f        flow.Flow
		src, dst resolve.Endpoint
	}{
		{syn, front, back},
		{ping, resolve.Endpoint{Kind: resolve.External, Name: `a"<b>.example`}, back},
		{overflow, resolve.Endpoint{}, back},
	} {
		if err := w.Write(l.f, l.src, l.dst); err != nil {
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

// refusing is a writer whose first write fails.
type refusing struct {
	bytes.Buffer

	refused bool
}

func (r *refusing) Write(b []byte) (int, error) {
	if !r.refused {
		r.refused = true
		return 0, errors.New("refused")
	}
	return r.Buffer.Write(b)
}

// TestJSONLinesGoOn: a line that could not be written is gone, those behind it
// come out whole.
func TestJSONLinesGoOn(t *testing.T) {
	front, back := pod("shop", "front", "10.0.0.5"), pod("shop", "back", "10.0.1.7")
	var out refusing
	w := New(&out, "n1", func(uint32) string { return "" })
	if err := w.Write(tcp(front, back, 8080, 1), front, back); err == nil {
		t.Error("the first line's error is missing")
	}
	var want []string
	for packets := uint64(2); packets <= 3; packets++ {
		if err := w.Write(tcp(front, back, 8080, packets), front, back); err != nil {
			t.Errorf("line %d: %v", packets, err)
		}
		want = append(want, fmt.Sprintf(`"packets":%d,`, packets))
	}
	got := regexp.MustCompile(`"packets":\d+,`).FindAllString(out.String(), -1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines -want +got:\n%s", diff)
	}
}

// TestWhy shows why packets were dropped, and by which policies.
func TestWhy(t *testing.T) {
	front, back := pod("shop", "frontend-5b9", "10.0.0.5"), pod("shop", "api-7c4", "10.0.1.7")
	f := tcp(front, back, 8080, 12)
	var out bytes.Buffer
	w := New(&out, "n1", nil)
	if err := w.WriteExplained(f, front, back, &emit.Explanation{Why: "denied by NetworkPolicy shop/a", Policies: []string{"shop/a", "shop/b"}}); err != nil {
		t.Fatal(err)
	}
	const tail = `"packets":12,"bytes":720,"tcpFlags":"SYN","reason":"denied by NetworkPolicy shop/a","policies":["shop/a","shop/b"]}` + "\n"
	if !strings.HasSuffix(out.String(), tail) {
		t.Errorf("the line does not end with\n%s:\n%s", tail, out.String())
	}
}

// TestAtLeast shows that a line says where a rule has a limit.
func TestAtLeast(t *testing.T) {
	front, api := pod("shop", "front", "10.0.0.5"), pod("shop", "api", "10.0.1.7")
	f := tcp(front, api, 80, 2)
	var out strings.Builder
	w := New(&out, "n1", nil)
	for _, atLeast := range []bool{true, false} {
		if err := w.WriteExplained(f, front, api, &emit.Explanation{AtLeast: atLeast}); err != nil {
			t.Fatal(err)
		}
	}
	lines := slices.Collect(strings.Lines(out.String()))
	if !strings.Contains(lines[0], `"packets":2,"packetsAtLeast":true,`) || strings.Contains(lines[1], "AtLeast") {
		t.Errorf("lines of a rule with a limit and of one without:\n%s", out.String())
	}
}
