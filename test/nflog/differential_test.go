package nflog

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

var (
	loopback4 = netip.MustParseAddr("127.0.0.1")
	loopback6 = netip.MustParseAddr("::1")
)

// ruleset logs everything to both groups. Its rules and devices make each kind of message:
// devices, owners, marks, long prefixes, truncated copies, a bridge with its ports, and
// link-layer headers.
var ruleset = `
table inet t {
	chain in {
		type filter hook input priority 0
		meta mark set 0xdecafbad
		log prefix "in: " group 1
		log prefix "in: " group 2
	}
	chain out {
		type filter hook output priority 0
		log prefix "` + strings.Repeat("long ", 25) + `" group 1
		log prefix "` + strings.Repeat("long ", 25) + `" group 2
	}
	chain pre {
		type filter hook prerouting priority 0
		log group 1 snaplen 30
		log group 2 snaplen 30
	}
}
table bridge t {
	chain between {
		type filter hook forward priority 0
		log prefix "bridge" group 1 queue-threshold 2
		log prefix "bridge" group 2 queue-threshold 2
	}
}
`

// sameTime accepts small differences between the times of a packet's two log records,
// because the kernel takes them one after the other. A missing time still differs from a
// time.
func sameTime() cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Time" },
		cmp.Comparer(func(a, b int64) bool {
			return (a == 0) == (b == 0) && max(a, b)-min(a, b) < int64(100*time.Millisecond)
		}))
}

// TestDifferential logs the same traffic to two groups. The reader under test reads one,
// and go-nflog's hook reads the other. The test compares every attribute.
func TestDifferential(t *testing.T) {
	ns := newNamespace(t)
	bridge := newBridge(t, ns)
	rules(t, ns, ruleset)
	reference := openReference(t, ns, 2)
	reader := open(t, ns, nflog.Config{Group: 1})

	const each = 40
	packets := 3 * each * sendMix(t, ns, each) // output, prerouting and input log each packet
	sendUDP(t, ns, netip.AddrPortFrom(loopback4, 9), each)
	packets += 3 * each
	udp, err := netlab.Packet{
		Source: netip.MustParseAddr("10.1.0.1"), Destination: netip.MustParseAddr("10.1.0.2"), Protocol: netlab.UDP, DestinationPort: 53,
	}.Bytes(0)
	if err != nil {
		t.Fatal(err)
	}
	for range each {
		bridge.send(t, ns, udp)
	}

	// The kernel's answers are logged too, so there may be more.
	got, count := readAll(t, reader)
	want := collect(t, reference, len(got))
	if len(got) < packets+each || count.Packets != len(got) || count.Lost != 0 || count.Malformed != 0 {
		t.Errorf("%d packets, at least %d were sent; %+v", len(got), packets+each, count)
	}
	for i := range min(len(want), len(got)) {
		if diff := cmp.Diff(want[i], got[i], sameTime()); diff != "" {
			t.Fatalf("packet %d: -go-nflog +got:\n%s", i, diff)
		}
	}
	checkKinds(t, got)
}

// sendMix sends each kind of packet to loopback and returns the number of kinds.
func sendMix(t *testing.T, ns *netlab.Namespace, each int) (kinds int) {
	t.Helper()
	for _, to := range []netip.Addr{loopback4, loopback6} {
		for _, protocol := range []netlab.Protocol{netlab.TCP, netlab.UDP, netlab.ICMP, netlab.SCTP} {
			p := netlab.Packet{Source: to, Destination: to, Protocol: protocol, DestinationPort: 8080, PayloadLength: 300}
			if protocol == netlab.ICMP {
				// The kernel would answer an echo request, and these packets would be
				// logged too.
				p.Protocol = netlab.UDP
				p.DestinationPort = 53
			}
			if err := ns.Send(p, each); err != nil {
				t.Fatal(err)
			}
			kinds++
		}
	}
	return kinds
}

// checkKinds checks that each attribute appeared.
func checkKinds(t *testing.T, all []seen) {
	t.Helper()
	kinds := map[string]func(seen) bool{
		"a prefix":            func(s seen) bool { return s.Prefix != "" },
		"no prefix":           func(s seen) bool { return s.Prefix == "" },
		"a long prefix":       func(s seen) bool { return len(s.Prefix) > 100 },
		"an input device":     func(s seen) bool { return s.In != 0 },
		"an output device":    func(s seen) bool { return s.Out != 0 },
		"a copy of 30 bytes":  func(s seen) bool { return len(s.Payload) == 30 },
		"a copy of 128 bytes": func(s seen) bool { return len(s.Payload) == 128 },
		"IPv6":                func(s seen) bool { return s.EtherType == unix.ETH_P_IPV6 },
		"forward":             func(s seen) bool { return s.Hook == unix.NF_INET_FORWARD },
	}
	for what, is := range kinds {
		found := false
		for _, s := range all {
			found = found || is(s)
		}
		if !found {
			t.Errorf("no packet with %s was among %d", what, len(all))
		}
	}
}

// rules loads an nftables ruleset in the namespace.
func rules(t *testing.T, ns *netlab.Namespace, ruleset string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := ns.Command(ctx, "nft", ruleset); err != nil {
		t.Fatal(err)
	}
}
