package event

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// TestEventNames pins the names of event objects. They must stay the same from
// one version to the next: else an upgrade gives every flow a second event, and
// the first stops counting.
func TestEventNames(t *testing.T) {
	tcp80 := target{protocol: decode.TCP, hasPort: true, port: 80}
	address := func(s string) peerKey { return peerKey{addr: netip.MustParseAddr(s)} }
	got := map[string]string{}
	for _, tt := range []struct {
		name string
		key  entryKey
	}{
		{"an address", entryKey{receiving, false, address("203.0.113.9"), tcp80}},
		{"an IPv6 address", entryKey{receiving, false, address("2001:db8::9"), tcp80}},
		{"sending", entryKey{sending, false, address("203.0.113.9"), tcp80}},
		{"forwarding", entryKey{forwarding, false, peerKey{addr: netip.MustParseAddr("203.0.113.9"), via: netip.MustParseAddr("198.51.100.7")}, tcp80}},
		{"an aggregate", entryKey{direction: receiving, aggregate: true}},
		{"a pod", entryKey{receiving, false, peerKey{kind: resolve.Pod, namespace: "shop", name: "front"}, tcp80}},
		{"a workload", entryKey{receiving, false, peerKey{kind: resolve.Pod, workload: true, namespace: "shop", name: "Deployment/front"}, tcp80}},
		{"a service", entryKey{sending, false, peerKey{kind: resolve.Service, namespace: "shop", name: "api"}, tcp80}},
		{"a node", entryKey{receiving, false, peerKey{kind: resolve.Node, name: "n2"}, tcp80}},
		{"ICMP", entryKey{receiving, false, address("203.0.113.9"), target{protocol: decode.ICMP, hasICMP: true, icmpType: 8}}},
		{"UDP fragments", entryKey{receiving, false, address("203.0.113.9"), target{protocol: decode.UDP, fragment: true}}},
		{"GRE", entryKey{receiving, false, address("203.0.113.9"), target{protocol: 47}}},
		{"protocol 200", entryKey{receiving, false, address("203.0.113.9"), target{protocol: 200}}},
	} {
		got[tt.name] = objectName("n1", "kube-nflog", &objectKey{kind: "Pod", namespace: "shop", name: "api", uid: "uid-api"}, &tt.key)
	}
	want := map[string]string{
		"GRE":             "api.b06a8c3c80681f899ad2",
		"ICMP":            "api.39ef818662ff8462c9c9",
		"UDP fragments":   "api.2c0206ba84f1a83d9244",
		"a node":          "api.4ca29069b5f24d6cb394",
		"a pod":           "api.7a8f8304924a372f3daf",
		"an aggregate":    "api.171a80ce0191b852b939",
		"a service":       "api.c32ed6d446bfa19d8191",
		"a workload":      "api.9c71da33773146f625ab",
		"an IPv6 address": "api.d9354892b878c3aa46bc",
		"an address":      "api.f7369e49426f3c76dc56",
		"forwarding":      "api.b3ac89ba726fe69755bf",
		"protocol 200":    "api.046d5b4a5193a88eacfe",
		"sending":         "api.13b46adfb3aea481b969",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

// TestEventNamesOfAllTargets pins the text of every protocol, ICMP kind and
// fragment. A target's part of an event's name is what String returns, so that a
// better word for one would rename its events: the name must keep the old one.
func TestEventNamesOfAllTargets(t *testing.T) {
	h := sha256.New()
	for p := range 256 {
		protocol := decode.Protocol(p)
		for _, tt := range []target{
			{protocol: protocol}, {protocol: protocol, fragment: true},
			{protocol: protocol, hasPort: true, port: 80}, {protocol: protocol, hasPort: true, port: 65535},
		} {
			fmt.Fprintf(h, "%+v\n", tt)
		}
	}
	for _, protocol := range []decode.Protocol{decode.ICMP, decode.ICMPv6} {
		for kind := range 256 * 32 {
			fmt.Fprintf(h, "%+v\n", target{protocol: protocol, hasICMP: true, icmpType: uint8(kind / 32), icmpCode: uint8(kind % 32)})
		}
	}
	const want = "5e6adca88831af2c09e4e8545a782aec189e6387a566266115128603b2f3adec"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("the texts' digest is %s, want %s", got, want)
	}
}
