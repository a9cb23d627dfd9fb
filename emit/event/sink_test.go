package event

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBothEndsGetTheirEvent(t *testing.T) {
	s := newFakeServer()
	e := newTestSink(t, Config{}, s)
	front, back := pod("shop", "frontend-5b9", "10.0.0.5"), pod("shop", "api-7c4", "10.0.1.7")
	e.Add(tcp(front, back, 8080, 12))
	flush(t, e)

	event := func(name, peer, message string) corev1.Event {
		return corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Namespace: "shop"},
			InvolvedObject: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: name, UID: types.UID("uid-" + name)},
			Type:           "Warning", Reason: "PacketDrop", Message: message, Count: 12,
			FirstTimestamp: metav1.NewTime(start), LastTimestamp: metav1.NewTime(start),
			Source:  corev1.EventSource{Component: "kube-nflog", Host: "n1"},
			Related: &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: peer, UID: types.UID("uid-" + peer)},
		}
	}
	want := []corev1.Event{
		event("api-7c4", "frontend-5b9", "Packet dropped when receiving traffic from shop/frontend-5b9 (10.0.0.5) on port 8080/TCP."),
		event("frontend-5b9", "api-7c4", "Packet dropped when sending traffic to shop/api-7c4 (10.0.1.7) on port 8080/TCP."),
	}
	if diff := cmp.Diff(want, s.list(), cmpopts.IgnoreFields(metav1.ObjectMeta{}, "Name", "Annotations")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestMessages(t *testing.T) {
	back := pod("shop", "api", "10.0.1.7")
	node := resolve.Endpoint{IP: external("192.0.2.1").IP, Kind: resolve.Node, Name: "n2"}
	service := resolve.Endpoint{IP: external("10.96.0.10").IP, Kind: resolve.Service, Namespace: "kube-system", Name: "dns"}
	named := external("203.0.113.9")
	named.Name = "crawler.example"
	ping := func(f *emit.DroppedFlow) *emit.DroppedFlow {
		f.Protocol, f.HasPorts, f.HasICMP, f.ICMPType = decode.ICMP, false, true, 8
		return f
	}
	tests := []struct {
		name   string
		flow   *emit.DroppedFlow
		peer   resolve.Endpoint
		config Config
		want   string
	}{
		{"pod", tcp(pod("shop", "f", "10.0.0.5"), back, 80, 1), pod("shop", "f", "10.0.0.5"), Config{},
			"Packet dropped when receiving traffic from shop/f (10.0.0.5) on port 80/TCP."},
		{"node", tcp(node, back, 80, 1), node, Config{},
			"Packet dropped when receiving traffic from node n2 (192.0.2.1) on port 80/TCP."},
		{"service", tcp(service, back, 80, 1), service, Config{},
			"Packet dropped when receiving traffic from service kube-system/dns (10.96.0.10) on port 80/TCP."},
		{"external", tcp(external("203.0.113.9"), back, 80, 1), external("203.0.113.9"), Config{},
			"Packet dropped when receiving traffic from 203.0.113.9 on port 80/TCP."},
		{"external with a name", tcp(named, back, 80, 1), named, Config{},
			"Packet dropped when receiving traffic from crawler.example (203.0.113.9) on port 80/TCP."},
		{"ICMP", ping(tcp(named, back, 0, 1)), external("203.0.113.9"), Config{},
			"Packet dropped when receiving traffic from 203.0.113.9 (ICMP echo-request)."},
		{"flags", with(tcp(named, back, 80, 1), func(f *flow.Flow) { f.TCPFlags = decode.ACK | decode.PSH }), external("203.0.113.9"), Config{},
			"Packet dropped when receiving traffic from 203.0.113.9 on port 80/TCP (TCP flags PSH|ACK)."},
		{"prefix", with(tcp(named, back, 80, 1), func(f *flow.Flow) { f.Prefix = "DROP by policy shop/deny" }), external("203.0.113.9"), Config{},
			`Packet dropped when receiving traffic from 203.0.113.9 on port 80/TCP (NFLOG prefix "DROP by policy shop/deny").`},
		{"default prefix", with(tcp(named, back, 80, 1), func(f *flow.Flow) { f.Prefix = "calico-drop:" }), external("203.0.113.9"), Config{DefaultPrefix: "calico-drop:"},
			"Packet dropped when receiving traffic from 203.0.113.9 on port 80/TCP."},
		{"fragments", with(tcp(named, back, 0, 1), func(f *flow.Flow) { f.Protocol, f.HasPorts, f.Fragment = decode.UDP, false, true }), external("203.0.113.9"), Config{},
			"Packet dropped when receiving traffic from 203.0.113.9 (UDP fragments)."},
		{"unknown protocol", with(tcp(named, back, 0, 1), func(f *flow.Flow) { f.Protocol, f.HasPorts = 99, false }), external("203.0.113.9"), Config{},
			"Packet dropped when receiving traffic from 203.0.113.9 (protocol 99)."},
		{"overflow", with(tcp(named, back, 0, 1), func(f *flow.Flow) { f.HasPorts, f.Overflow = false, true }), resolve.Endpoint{}, Config{},
			"Packets dropped when receiving traffic from many sources."},
		{"template", tcp(named, back, 80, 1), external("203.0.113.9"), Config{Message: "{{.PeerIP}} may not reach {{.Namespace}}/{{.Name}}{{.On}}"},
			"203.0.113.9 may not reach shop/api on port 80/TCP"},
		{"template of several lines", tcp(named, back, 80, 1), external("203.0.113.9"), Config{Message: "{{.PeerIP}} may not\n  reach {{.Name}}\n"},
			"203.0.113.9 may not reach api"},
		{"hostile name", tcp(named, back, 80, 1), resolve.Endpoint{IP: named.IP, Kind: resolve.External, Name: "a\x1b[2J\u202eb\xff"}, Config{},
			"Packet dropped when receiving traffic from a�[2J�b� (203.0.113.9) on port 80/TCP."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeServer()
			e := newTestSink(t, tt.config, s)
			tt.flow.Source = tt.peer
			e.Add(tt.flow)
			flush(t, e)
			got := ""
			for _, ev := range s.list() {
				if ev.InvolvedObject.Name == "api" {
					got = ev.Message
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func with(d *emit.DroppedFlow, change func(*flow.Flow)) *emit.DroppedFlow {
	change(&d.Flow)
	return d
}

// TestWhy shows why packets were dropped, cleaned, and as the last packets' explanation has it.
func TestWhy(t *testing.T) {
	s := newFakeServer()
	e := newTestSink(t, Config{}, s)
	front, back := pod("shop", "frontend-5b9", "10.0.0.5"), pod("shop", "api-7c4", "10.0.1.7")
	f := tcp(front, back, 8080, 12)
	e.Add(because(f, policy.Reason{Text: "not known yet"}))
	f.Prefix = "deny"
	e.Add(because(f, policy.Reason{Text: "denied by NetworkPolicy shop/a\x1b[2J"}))
	flush(t, e)
	var got []string
	for _, event := range s.list() {
		got = append(got, event.Message)
	}
	const why = ` on port 8080/TCP (NFLOG prefix "deny"): denied by NetworkPolicy shop/a` + "\ufffd[2J."
	want := []string{
		"Packet dropped when receiving traffic from shop/frontend-5b9 (10.0.0.5)" + why,
		"Packet dropped when sending traffic to shop/api-7c4 (10.0.1.7)" + why,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
}
