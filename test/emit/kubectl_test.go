package emit_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit/event"
	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestWhatKubectlShows compares kubectl's output with golden files, for each kind of event.
func TestWhatKubectlShows(t *testing.T) {
	c := startCluster(t, controlplane.Config{})
	front := c.pod(t, "shop", "frontend-5b9", "10.0.0.5")
	for _, tt := range []struct {
		name string
		add  func(e *running, self resolve.Endpoint)
	}{
		{"single", func(e *running, self resolve.Endpoint) {
			e.Add(tcp(front, self, 8080, 1))
		}},
		{"repeated", func(e *running, self resolve.Endpoint) {
			f := tcp(front, self, 8080, 10)
			f.FirstSeen = f.FirstSeen.Add(-3 * time.Minute)
			e.Add(f)
		}},
		{"icmp", func(e *running, self resolve.Endpoint) {
			f := tcp(front, self, 0, 3)
			f.Protocol, f.HasPorts, f.HasICMP, f.ICMPType = decode.ICMP, false, true, 8
			e.Add(f)
		}},
		{"external", func(e *running, self resolve.Endpoint) {
			peer := external("203.0.113.9")
			peer.Name = "crawler.example"
			f := tcp(peer, self, 443, 2)
			f.TCPFlags, f.Prefix = decode.ACK|decode.PSH, "DROP by policy shop/deny"
			e.Add(f)
		}},
		{"sending", func(e *running, self resolve.Endpoint) {
			peer := external("203.0.113.9")
			e.Add(tcp(self, peer, 443, 2))
		}},
		{"rollup", func(e *running, self resolve.Endpoint) {
			for i := range 1204 {
				peer := external(fmt.Sprintf("198.18.%d.%d", i>>8, i&255))
				f := tcp(peer, self, uint16(22+i%3), 1)
				switch i {
				case 0: // this pod gets one event, with an earlier time, so that the order is certain
					f.FirstSeen, f.LastSeen = f.FirstSeen.Add(-time.Minute), f.LastSeen.Add(-time.Minute)
				case 1200:
					f.Packets = 500
				}
				e.Add(f)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			self := c.pod(t, "shop", tt.name, "10.0.1.7")
			e := start(t, c.client(t, ""), event.Config{ObjectsPerPod: 1})
			tt.add(e, self)
			e.finish(t)
			describe, err := c.Kubectl(t.Context(), "describe", "pod", "-n", "shop", tt.name)
			if err != nil {
				t.Fatal(err)
			}
			_, shown, _ := strings.Cut(describe, "\nEvents:")
			events, err := c.Kubectl(t.Context(), "events", "-n", "shop", "--for", "pod/"+tt.name)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, tt.name+".txt", ageless("Events:"+shown)+"\n"+ageless(events))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// ageless replaces the ages, and removes the column widths that depend on them.
func ageless(s string) string {
	age := regexp.MustCompile(`\b(\d+[smh]){1,2}\b|<unknown>`)
	gap := regexp.MustCompile(`[ \t]{2,}|-{3,}`)
	var out []string
	for line := range strings.Lines(s) {
		line = age.ReplaceAllString(strings.TrimRight(line, " \n"), "AGE")
		line = strings.TrimRight(gap.ReplaceAllString(line, "  "), " ")
		out = append(out, line)
	}
	return strings.Join(out, "\n") + "\n"
}
