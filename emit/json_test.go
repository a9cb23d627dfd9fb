package emit

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/resolve"
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
	w := NewJSONWriter(&out, "n1", func(i uint32) string { return map[uint32]string{7: "cali1", 2: "eth0"}[i] })
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
