package event

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// secret is part of all that the owners of shop may not learn of bank.
const secret = "secret"

func bankPod(name, ip string) resolve.Endpoint {
	p := pod("bank", name, ip)
	p.Workload, p.Identifier, p.NodeName, p.Labels = "Deployment/secret-project", "bank", "n2", "app=secret"
	return p
}

// TestNamespaceOnly checks that with Config.NamespaceOnly an event tells of pods,
// Services and policies of other namespaces no more than their namespace and
// address: in its text, by a template, in an aggregate, and in its object's name.
func TestNamespaceOnly(t *testing.T) {
	api := pod("shop", "api-7c4", "10.0.1.7")
	front := pod("shop", "front-5b9", "10.0.1.8")
	front.Identifier = "shop"
	service := resolve.Endpoint{IP: external("10.96.0.9").IP, Kind: resolve.Service, Namespace: "bank", Name: "secret-svc"}
	dns := external("10.0.2.9")
	dns.Name = "10-0-2-9.secret.bank.svc.cluster.local"
	own := external("10.0.2.8")
	own.Name = "db-0.db.shop.svc.cluster.local"
	why := policy.Reason{
		Code:        policy.ReasonDeniedIngress,
		Text:        "denied by NetworkPolicy bank/secret",
		Policies:    []string{"bank/secret"},
		Source:      policy.View{Text: "denied by a NetworkPolicy in namespace bank", HidePrefix: true},
		Destination: policy.View{Text: "denied by a NetworkPolicy in namespace bank", HidePrefix: true},
	}
	const denied = ": denied by a NetworkPolicy in namespace bank."
	const template = "{{.Traffic}} {{.Peer}} {{.PeerIP}} {{.PeerKind}} {{.PeerNamespace}} {{.PeerName}} {{.PeerWorkload}} {{.Prefixes}} {{.Why}}"
	tests := []struct {
		name    string
		message string
		objects int
		peers   []resolve.Endpoint
		want    []string
	}{
		{name: "a workload", peers: []resolve.Endpoint{bankPod("secret-1", "10.0.2.1"), bankPod("secret-2", "10.0.2.2")}, want: []string{
			"Packet dropped when receiving traffic from bank (10.0.2.1, 10.0.2.2) on port 80/TCP" + denied,
			"Packet dropped when sending traffic to bank (10.0.2.1, 10.0.2.2) on port 80/TCP" + denied,
		}},
		{name: "a Service", peers: []resolve.Endpoint{service}, want: []string{
			"Packet dropped when receiving traffic from service in bank (10.96.0.9) on port 80/TCP" + denied,
			"Packet dropped when sending traffic to service in bank (10.96.0.9) on port 80/TCP" + denied,
		}},
		{name: "a name of the cluster's DNS", peers: []resolve.Endpoint{dns}, want: []string{
			"Packet dropped when receiving traffic from 10.0.2.9 on port 80/TCP" + denied,
			"Packet dropped when sending traffic to 10.0.2.9 on port 80/TCP" + denied,
		}},
		{name: "its own namespace's in DNS", peers: []resolve.Endpoint{own}, want: []string{
			"Packet dropped when receiving traffic from db-0.db.shop.svc.cluster.local (10.0.2.8) on port 80/TCP" + denied,
			"Packet dropped when sending traffic to db-0.db.shop.svc.cluster.local (10.0.2.8) on port 80/TCP" + denied,
		}},
		{name: "a template", message: template, peers: []resolve.Endpoint{bankPod("secret-1", "10.0.2.1")}, want: []string{
			"receiving traffic from bank (10.0.2.1) bank (10.0.2.1) 10.0.2.1 Pod bank   [] denied by a NetworkPolicy in namespace bank",
			"sending traffic to bank (10.0.2.1) bank (10.0.2.1) 10.0.2.1 Pod bank   [] denied by a NetworkPolicy in namespace bank",
		}},
		{name: "a template, of a pod of its own namespace", message: "{{.PeerName}}", peers: []resolve.Endpoint{front}, want: []string{
			"front-5b9", "front-5b9",
		}},
		{name: "aggregates", objects: 1, peers: []resolve.Endpoint{front, bankPod("secret-1", "10.0.2.1"), service}, want: []string{
			"Packet dropped when receiving traffic from shop (10.0.1.8) on port 80/TCP" + denied,
			"Packets dropped when receiving traffic from 2 sources on 1 port (most: 10.0.2.1 in bank on 80/TCP, 10.96.0.9 on 80/TCP)" + denied,
			"Packets dropped when sending traffic to 3 destinations on 1 port (most: shop on 80/TCP, 10.0.2.1 in bank on 80/TCP, 10.96.0.9 on 80/TCP)" + denied,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newFakeServer()
			e := newTestSink(t, Config{NamespaceOnly: true, Message: tt.message, ObjectsPerPod: tt.objects}, s)
			for _, peer := range tt.peers {
				peer.EventsDisabled = true // only what api's owners read
				in := tcp(peer, api, 80, 1)
				in.Prefix = "DROP by policy bank/secret"
				in.Reason = why
				e.Add(in)
				out := tcp(api, peer, 80, 1)
				out.Prefix = in.Prefix
				out.Reason = why
				e.Add(out)
			}
			flush(t, e)
			var got []string
			for _, event := range s.list() {
				text, err := json.Marshal(event)
				if err != nil {
					t.Fatal(err)
				}
				if strings.Contains(string(text), secret) {
					t.Errorf("the event tells %q:\n%s", secret, text)
				}
				got = append(got, event.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNamespaceOnlyObjectNames checks that an object's name depends on nothing
// that the event hides: it is a hash, which tells whoever guesses a name right.
func TestNamespaceOnlyObjectNames(t *testing.T) {
	var names []string
	for _, peer := range []resolve.Endpoint{bankPod("secret-1", "10.0.2.1"), bankPod("other-2", "10.0.2.2")} {
		peer.Workload = fmt.Sprintf("Deployment/%s", peer.Name)
		s := newFakeServer()
		e := newTestSink(t, Config{NamespaceOnly: true}, s)
		api := pod("shop", "api-7c4", "10.0.1.7")
		peer.EventsDisabled = true
		e.Add(tcp(peer, api, 80, 1))
		flush(t, e)
		for _, event := range s.list() {
			names = append(names, event.Name)
		}
	}
	if len(names) != 2 || names[0] != names[1] {
		t.Errorf("the events of two workloads of one namespace are called %q, want one name", names)
	}
}

// TestNamespaceOnlyKeepsEveryPacket checks that hiding changes no count.
func TestNamespaceOnlyKeepsEveryPacket(t *testing.T) {
	for _, hides := range []bool{false, true} {
		s := newFakeServer()
		e := newTestSink(t, Config{NamespaceOnly: hides}, s)
		api := pod("shop", "api-7c4", "10.0.1.7")
		for i := range 5 {
			peer := bankPod(fmt.Sprintf("secret-%d", i), fmt.Sprintf("10.0.2.%d", i))
			e.Add(tcp(peer, api, 80, 3))
		}
		flush(t, e)
		if got := s.total(); got != 30 {
			t.Errorf("NamespaceOnly %v: the events count %d packets, want 30", hides, got)
		}
	}
}

func TestNamespaceOfName(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "one": "", "dns.google": "", "svc.example.com": "",
		"api.shop.svc.cluster.local": "shop", "10-0-1-7.api.shop.svc.corp.example": "shop",
		"10-0-1-7.shop.pod.cluster.local": "shop",
	} {
		if got := namespaceOfName(name); got != want {
			t.Errorf("namespace of %q is %q, want %q", name, got, want)
		}
	}
}
