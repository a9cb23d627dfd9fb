package event

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// TestRelated checks that an event points to its peer where that is an object
// which the event may name.
func TestRelated(t *testing.T) {
	front := pod("bank", "front", "10.0.0.5")
	node := resolve.Endpoint{IP: external("192.0.2.1").IP, Kind: resolve.Node, Name: "n2"}
	service := resolve.Endpoint{IP: external("10.96.0.10").IP, Kind: resolve.Service, Namespace: "kube-system", Name: "dns"}
	named := external("203.0.113.9")
	named.Name = "crawler.example"
	for _, tt := range []struct {
		name   string
		peer   resolve.Endpoint
		config Config
		want   *corev1.ObjectReference
	}{
		{"pod", front, Config{}, &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "bank", Name: "front", UID: "uid-front"}},
		{"node", node, Config{}, &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: "n2"}},
		{"service", service, Config{}, &corev1.ObjectReference{APIVersion: "v1", Kind: "Service", Namespace: "kube-system", Name: "dns"}},
		{"host", named, Config{}, nil},
		{"unknown", resolve.Endpoint{IP: named.IP}, Config{}, nil},
		{"hidden pod", front, Config{NamespaceOnly: true}, nil},
		{"hidden service", service, Config{NamespaceOnly: true}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeServer()
			e := newTestSink(t, tt.config, s)
			tt.peer.EventsDisabled = true
			e.Add(tcp(tt.peer, pod("shop", "api", "10.0.1.7"), 80, 1))
			flush(t, e)
			if diff := cmp.Diff(tt.want, s.list()[0].Related); diff != "" {
				t.Errorf("related (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRelatedFollowsTheLastPod patches the event of a workload, whose pods come
// and go, to the pod that was seen last.
func TestRelatedFollowsTheLastPod(t *testing.T) {
	s := newFakeServer()
	for i := range 2 {
		peer := pod("shop", fmt.Sprintf("front-%d", i), fmt.Sprintf("10.0.0.%d", i))
		peer.Workload, peer.EventsDisabled = "Deployment/front", true
		e := newTestSink(t, Config{}, s)
		e.Add(tcp(peer, pod("shop", "api", "10.0.1.7"), 80, 1))
		flush(t, e)
		events := s.list()
		if got := events[0].Related; len(events) != 1 || got.Name != peer.Name || string(got.UID) != peer.UID {
			t.Errorf("the %d events are related to %v, want one, to %s", len(events), got, peer.Name)
		}
	}
}

// TestReasonCode checks that an event has the code of its last packets' reason,
// and an aggregate all codes of its packets.
func TestReasonCode(t *testing.T) {
	s := newFakeServer()
	api := pod("shop", "api", "10.0.1.7")
	add := func(e *testSink, port uint16, code policy.ReasonCode) {
		e.Add(because(tcp(external("203.0.113.9"), api, port, 1), policy.Reason{Code: code}))
	}
	want := []map[string]string{
		{"api: …80": "allowed_lately"},
		{"api: …80": "denied_ingress", "api: Packets": "denied_ingress,unselected"},
	}
	for round := range want {
		e := newTestSink(t, Config{ObjectsPerPod: 1}, s)
		if round == 0 {
			add(e, 80, policy.ReasonAllowedLately)
		} else {
			add(e, 80, policy.ReasonDeniedIngress)
			add(e, 81, policy.ReasonUnselected)
			add(e, 82, policy.ReasonDeniedIngress)
		}
		flush(t, e)
		got := map[string]string{}
		for _, event := range s.list() {
			name := "api: …80"
			if event.Message[:7] == "Packets" {
				name = "api: Packets"
			}
			got[name] = event.Annotations[reasonCodeAnnotation]
		}
		if diff := cmp.Diff(want[round], got); diff != "" {
			t.Errorf("round %d, annotations (-want +got):\n%s", round, diff)
		}
	}
}
