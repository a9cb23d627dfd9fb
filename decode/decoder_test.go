package decode

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Addresses of the packets below.
var (
	source4 = netip.MustParseAddr("10.0.0.5").As16()
	dest4   = netip.MustParseAddr("10.0.1.7").As16()
	source6 = netip.MustParseAddr("fd00::5").As16()
	dest6   = netip.MustParseAddr("fd00::1:7").As16()
)

// ip4 is an IPv4 packet with the given total length (0: the true one),
// fragment field and protocol.
func ip4(total int, fragment uint16, protocol byte, payload ...byte) []byte {
	if total == 0 {
		total = 20 + len(payload)
	}
	return append([]byte{
		0x45, 0, byte(total >> 8), byte(total), // version, header length, TOS, total length
		0x12, 0x34, byte(fragment >> 8), byte(fragment), // identification, flags and offset
		64, protocol, 0, 0, // TTL, protocol, checksum
		10, 0, 0, 5, // source
		10, 0, 1, 7, // destination
	}, payload...)
}

// ip6 is an IPv6 packet with a next header and what it consists of.
func ip6(next byte, payload ...byte) []byte {
	b := []byte{0x60, 0, 0, 0, byte(len(payload) >> 8), byte(len(payload)), next, 64}
	b = append(b, source6[:]...)
	b = append(b, dest6[:]...)
	return append(b, payload...)
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// A SYN from port 43210 to 8080 with the five options that Linux sends.
var syn = []byte{
	0xa8, 0xca, 0x1f, 0x90, // ports
	0, 0, 0, 1, 0, 0, 0, 0, // sequence, acknowledgement
	0xa0, 0x02, 0xfa, 0xf0, 0, 0, 0, 0, // data offset 10, SYN, window, checksum, urgent
	2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
}

var (
	udpQuery = []byte{0xa8, 0xca, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4}
	sctpInit = []byte{0xa8, 0xca, 0x0b, 0x59, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 4}
	echo4    = []byte{8, 0, 0, 0, 0, 1, 0, 1}
	echo6    = []byte{128, 0, 0, 0, 0, 1, 0, 1}
	// Extension headers; the first byte is the next header.
	hop      = []byte{0, 0, 1, 4, 0, 0, 0, 0}
	dstOpts  = []byte{0, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	firstFr  = []byte{0, 0, 0x00, 0x01, 0, 0, 0, 9} // offset 0, more
	laterFr  = []byte{0, 0, 0x01, 0x00, 0, 0, 0, 9} // offset 32
	authHdr  = []byte{0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}
	routeHdr = []byte{0, 0, 4, 0, 0, 0, 0, 0}
)

// next returns the extension header with its next-header field set.
func next(header []byte, protocol byte) []byte {
	h := append([]byte(nil), header...)
	h[0] = protocol
	return h
}

func drop4(protocol Protocol, length uint32) Drop {
	return Drop{Family: IPv4, Protocol: protocol, Length: length, Source: source4, Destination: dest4}
}

func drop6(protocol Protocol, length uint32) Drop {
	return Drop{Family: IPv6, Protocol: protocol, Length: length, Source: source6, Destination: dest6}
}

func (d Drop) ports(source, destination uint16, flags TCPFlags) Drop {
	d.HasPorts, d.SourcePort, d.DestinationPort, d.TCPFlags = true, source, destination, flags
	return d
}

func (d Drop) icmp(typ, code uint8) Drop {
	d.HasICMP, d.ICMPType, d.ICMPCode = true, typ, code
	return d
}

func (d Drop) fragmented() Drop {
	d.Fragment = true
	return d
}

func withOptions(packet []byte) []byte {
	p := join(packet[:20], []byte{0x94, 4, 0, 0}, packet[20:]) // router alert
	p[0], p[3] = 0x46, p[3]+4
	return p
}

type decodeCase struct {
	name      string
	payload   []byte
	etherType uint16
	want      Drop
	result    Result
}

func decodeCases() []decodeCase {
	return []decodeCase{
		{name: "TCP", payload: ip4(0, 0, 6, syn...), want: drop4(TCP, 60).ports(43210, 8080, SYN)},
		{name: "UDP", payload: ip4(0, 0, 17, udpQuery...), want: drop4(UDP, 32).ports(43210, 53, 0)},
		{name: "SCTP", payload: ip4(0, 0, 132, sctpInit...), want: drop4(SCTP, 36).ports(43210, 2905, 0)},
		{name: "ICMP", payload: ip4(0, 0, 1, echo4...), want: drop4(ICMP, 28).icmp(8, 0)},
		{name: "other protocol", payload: ip4(0, 0, 47, 0, 0, 8, 0, 1, 2), want: drop4(47, 26)},
		{name: "IP in IP keeps the outer addresses", payload: ip4(0, 0, 4, ip4(0, 0, 6, syn...)...), want: drop4(4, 80)},
		{name: "options", payload: withOptions(ip4(0, 0, 17, udpQuery...)), want: drop4(UDP, 36).ports(43210, 53, 0)},
		{name: "first fragment", payload: ip4(0, 0x2000, 17, udpQuery...), want: drop4(UDP, 32).ports(43210, 53, 0).fragmented()},
		{name: "later fragment", payload: ip4(0, 0x0010, 17, udpQuery...), want: drop4(UDP, 32).fragmented()},
		{name: "cut behind the flags", payload: ip4(1500, 0, 6, syn[:14]...), want: drop4(TCP, 1500).ports(43210, 8080, SYN)},
		{name: "cut behind the ports", payload: ip4(1500, 0, 6, syn[:4]...), want: drop4(TCP, 1500).ports(43210, 8080, 0)},
		{name: "cut before the ports", payload: ip4(1500, 0, 6, syn[:3]...), want: drop4(TCP, 1500)},
		{name: "cut behind the IP header", payload: ip4(1500, 0, 6), want: drop4(TCP, 1500)},
		{name: "cut in the IP options", payload: withOptions(ip4(1400, 0, 6))[:22], want: drop4(TCP, 1404)},
		{name: "padding behind the packet", payload: join(ip4(0, 0, 1, echo4...), make([]byte, 18)), want: drop4(ICMP, 28).icmp(8, 0)},
		{name: "no total length, as offload makes it", payload: zeroLength(ip4(0, 0, 17, udpQuery...)), want: drop4(UDP, 32).ports(43210, 53, 0)},

		{name: "TCP over IPv6", payload: ip6(6, syn...), want: drop6(TCP, 80).ports(43210, 8080, SYN)},
		{name: "UDP over IPv6", payload: ip6(17, udpQuery...), want: drop6(UDP, 52).ports(43210, 53, 0)},
		{name: "SCTP over IPv6", payload: ip6(132, sctpInit...), want: drop6(SCTP, 56).ports(43210, 2905, 0)},
		{name: "ICMPv6", payload: ip6(58, echo6...), want: drop6(ICMPv6, 48).icmp(128, 0)},
		{name: "no next header", payload: ip6(59), want: drop6(59, 40)},
		{
			name:    "every extension header",
			payload: ip6(0, join(next(hop, 43), next(routeHdr, 60), next(dstOpts, 51), next(authHdr, 6), syn)...),
			want:    drop6(TCP, 124).ports(43210, 8080, SYN),
		},
		{name: "first fragment over IPv6", payload: ip6(44, join(next(firstFr, 17), udpQuery)...), want: drop6(UDP, 60).ports(43210, 53, 0).fragmented()},
		{name: "later fragment over IPv6", payload: ip6(44, join(next(laterFr, 17), udpQuery)...), want: drop6(UDP, 60).fragmented()},
		{name: "copy ends in an extension header", payload: ip6(60, next(dstOpts, 6)...)[:50], want: drop6(TCP, 56)},
		{name: "copy ends at an extension header", payload: ip6(60, next(dstOpts, 6)...)[:47], want: drop6(60, 56)},

		{name: "version without EtherType", payload: ip6(59), etherType: noEtherType, want: drop6(59, 40)},
		{name: "ARP", payload: make([]byte, 28), etherType: 0x0806, result: NotIP},
		{name: "nothing", etherType: noEtherType, result: NotIP},
		{name: "cut IPv4 header", payload: ip4(0, 0, 6, syn...)[:19], result: Truncated},
		{name: "cut IPv6 header", payload: ip6(6, syn...)[:39], result: Truncated},
		{name: "header shorter than itself", payload: join([]byte{0x44}, ip4(0, 0, 6, syn...)[1:]), result: Malformed},
		{name: "total length inside the header", payload: ip4(19, 0, 6, syn...), result: Malformed},
		{name: "IPv6 said to be IPv4", payload: ip6(6, syn...), etherType: etherIPv4, result: Malformed},
		{name: "IPv4 said to be IPv6", payload: ip4(0, 0, 6, syn...), etherType: etherIPv6, result: Malformed},
	}
}

// noEtherType stands for EtherType 0 in a decodeCase, where 0 means the payload's own.
const noEtherType = 1

func (c decodeCase) ether() uint16 {
	switch {
	case c.etherType == noEtherType:
		return 0
	case c.etherType != 0:
		return c.etherType
	case c.payload[0]>>4 == 6:
		return etherIPv6
	}
	return etherIPv4
}

func zeroLength(p []byte) []byte {
	p[2], p[3] = 0, 0
	return p
}

func TestDecode(t *testing.T) {
	d := NewDecoder(Config{})
	for _, c := range decodeCases() {
		t.Run(c.name, func(t *testing.T) {
			// The packet before may have left anything: every field must be set.
			got := Drop{TCPFlags: CWR, HasICMP: true, HasPorts: true, Fragment: true, SourcePort: 1, ICMPType: 1, ICMPCode: 1}
			result := d.Decode(c.payload, nil, c.ether(), &got)
			if result != c.result {
				t.Fatalf("Decode = %v, want %v", result, c.result)
			}
			if diff := cmp.Diff(c.want, got); result == Decoded && diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestIgnoredPackets decodes packets of two rules, of which one is not wanted.
func TestIgnoredPackets(t *testing.T) {
	d := NewDecoder(Config{Prefixes: []string{"deny"}})
	for i, c := range decodeCases() {
		prefix, want := "deny: ", c.result
		if i%3 == 0 {
			prefix, want = "trace: ", Ignored
		}
		var drop Drop
		if got := d.Decode(c.payload, []byte(prefix), c.ether(), &drop); got != want {
			t.Errorf("%s, prefix %q: %v, want %v", c.name, prefix, got, want)
		}
		if want == Decoded && drop.Prefix != prefix {
			t.Errorf("%s: prefix %q, want %q", c.name, drop.Prefix, prefix)
		}
	}
}

// BenchmarkDecode decodes one packet of each kind.
func BenchmarkDecode(b *testing.B) {
	prefix := []byte("deny: ")
	for _, c := range decodeCases() {
		b.Run(c.name, func(b *testing.B) {
			d := NewDecoder(Config{})
			var drop Drop
			b.ReportAllocs()
			for b.Loop() {
				d.Decode(c.payload, prefix, c.ether(), &drop)
			}
		})
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	d := NewDecoder(Config{})
	prefix := []byte("deny: ")
	for _, c := range decodeCases() {
		var drop Drop
		d.Decode(c.payload, prefix, c.ether(), &drop)
		if n := testing.AllocsPerRun(100, func() { d.Decode(c.payload, prefix, c.ether(), &drop) }); n != 0 {
			t.Errorf("%s: %v allocations a packet", c.name, n)
		}
	}
}

// TestDecodeCut cuts every packet at every length: the addresses are right as soon as
// the copy has them, and nothing panics.
func TestDecodeCut(t *testing.T) {
	d := NewDecoder(Config{})
	for _, c := range decodeCases() {
		if c.result != Decoded {
			continue
		}
		for n := range c.payload {
			var drop Drop
			result := d.Decode(c.payload[:n], nil, c.ether(), &drop)
			enough := n >= 20 && c.want.Family == IPv4 || n >= 40
			if enough && (result != Decoded || drop.Source != c.want.Source || drop.Destination != c.want.Destination) {
				t.Errorf("%s cut to %d bytes: %v, %+v", c.name, n, result, drop)
			}
			if !enough && result == Decoded {
				t.Errorf("%s cut to %d bytes: decoded", c.name, n)
			}
		}
	}
}

func TestAddrKeepsMappedIPv6(t *testing.T) {
	b := netip.MustParseAddr("::ffff:10.0.0.5").As16()
	if got, want := Addr(IPv6, b).String(), "::ffff:10.0.0.5"; got != want {
		t.Errorf("IPv6: %s, want %s", got, want)
	}
	if got, want := Addr(IPv4, b).String(), "10.0.0.5"; got != want {
		t.Errorf("IPv4: %s, want %s", got, want)
	}
}
