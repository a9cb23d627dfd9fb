package decode

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// FuzzDecode looks for panics, and compares the decoder with gopacket's own, slow way
// through a packet. If that finds a transport header right behind the IP header or
// behind IPv6 extension headers, both must agree on addresses and ports.
func FuzzDecode(f *testing.F) {
	for _, c := range decodeCases() {
		f.Add(c.payload, c.ether())
	}
	// An IPv6 routing header over IPv4.
	f.Add([]byte("E00000\x00\x000+0000000000\x06\x00\x0000000000000000000X0000000"), uint16(etherIPv4))
	// An IPv4-mapped address, which prints like an IPv4 address.
	f.Add([]byte("a00000000000000000000000\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff0000"), uint16(etherIPv6))
	d := NewDecoder(Config{})
	f.Fuzz(func(t *testing.T, payload []byte, etherType uint16) {
		var drop Drop
		result := d.Decode(payload, nil, etherType, &drop)
		if result == Decoded {
			compare(t, payload, &drop)
		}
		other := Drop{TCPFlags: CWR, HasICMP: true, HasPorts: true, Fragment: true, SourcePort: 1, ICMPType: 1, ICMPCode: 1}
		if got := d.Decode(payload, nil, etherType, &other); got != result || result == Decoded && other != drop {
			t.Errorf("into a used drop: %v, %+v; into an empty one %v, %+v", got, other, result, drop)
		}
		if drop.HasPorts && drop.HasICMP {
			t.Errorf("both ports and ICMP: %+v", drop)
		}
	})
}

func compare(t *testing.T, payload []byte, got *Drop) {
	t.Helper()
	first := layers.LayerTypeIPv4
	if got.Family == IPv6 {
		first = layers.LayerTypeIPv6
	}
	p := gopacket.NewPacket(payload, first, gopacket.DecodeOptions{NoCopy: true})
	if p.NetworkLayer() == nil || p.ErrorLayer() != nil {
		return // gopacket needs more than Decode does
	}
	flow := p.NetworkLayer().NetworkFlow()
	if !bytes.Equal(flow.Src().Raw(), got.SourceAddr().AsSlice()) || !bytes.Equal(flow.Dst().Raw(), got.DestinationAddr().AsSlice()) {
		t.Errorf("addresses %v > %v, gopacket has %v", got.SourceAddr(), got.DestinationAddr(), flow)
	}
	source, destination, ok := gopacketPorts(p, got.Family)
	if ok && (!got.HasPorts || got.SourcePort != source || got.DestinationPort != destination) {
		t.Errorf("ports %v %d > %d, gopacket has %d > %d", got.HasPorts, got.SourcePort, got.DestinationPort, source, destination)
	}
}

// gopacketPorts returns the ports of the transport header that belongs to the outermost
// IP header. gopacket also reads IPv6 extension headers behind an IPv4 header; these do
// not count.
func gopacketPorts(p gopacket.Packet, f Family) (source, destination uint16, ok bool) {
	for _, l := range p.Layers()[1:] {
		switch l := l.(type) {
		case *layers.TCP:
			return uint16(l.SrcPort), uint16(l.DstPort), true
		case *layers.UDP:
			return uint16(l.SrcPort), uint16(l.DstPort), true
		case *layers.SCTP:
			return uint16(l.SrcPort), uint16(l.DstPort), true
		case *layers.IPv6HopByHop, *layers.IPv6Routing, *layers.IPv6Destination:
			if f != IPv6 {
				return 0, 0, false
			}
		default:
			return 0, 0, false
		}
	}
	return 0, 0, false
}
