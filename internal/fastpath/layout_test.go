package fastpath

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kube-nflog/kube-nflog/decode"
)

// plainPackets are packets that have a layout, by name.
func plainPackets() map[string][]byte {
	packets := map[string][]byte{}
	for name, protocol := range map[string]byte{"TCP": 6, "UDP": 17, "SCTP": 132} {
		transport := append([]byte{0xa8, 0xca, 0x1f, 0x90, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02}, make([]byte, 6)...)
		packets[name+" over IPv4"] = ipv4(protocol, transport)
		packets[name+" over IPv6"] = ipv6(protocol, transport)
	}
	packets["ICMP"] = ipv4(1, []byte{8, 0, 0, 0, 0, 1, 0, 1})
	packets["ICMPv6"] = ipv6(58, []byte{128, 0, 0, 0, 0, 1, 0, 1})
	return packets
}

func ipv4(protocol byte, transport []byte) []byte {
	header := []byte{0x45, 0, 0, byte(ipv4Header + len(transport)), 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0}
	return slices.Concat(header, []byte{10, 0, 0, 5}, []byte{10, 0, 1, 7}, transport)
}

func ipv6(protocol byte, transport []byte) []byte {
	header := []byte{0x60, 0, 0, 0, 0, byte(len(transport)), protocol, 64}
	source, destination := make([]byte, 16), make([]byte, 16)
	source[0], source[15], destination[0], destination[15] = 0xfd, 5, 0xfd, 7
	return slices.Concat(header, source, destination, transport)
}

// FuzzLayout decodes a packet and compares what its layout reads of another one with what
// a decoder makes of that.
func FuzzLayout(f *testing.F) {
	for _, packet := range plainPackets() {
		other := bytes.Clone(packet)
		other[15] ^= 1
		f.Add(packet, other, uint16(0))
	}
	s := &sender{Rand: rand.New(rand.NewPCG(3, 4))}
	for range 200 {
		first := s.next()
		second := s.next()
		f.Add(first.payload, second.payload, second.etherType)
	}
	d, fresh := decode.NewDecoder(decode.Config{}), decode.NewDecoder(decode.Config{})
	f.Fuzz(func(t *testing.T, first, second []byte, etherType uint16) {
		var drop, want decode.Drop
		if d.Decode(first, nil, etherType, &drop) != decode.Decoded {
			return
		}
		l := layoutOf(first, &drop)
		for _, payload := range [][]byte{second, first, second} {
			if !l.read(payload, &drop) {
				continue
			}
			if got := fresh.Decode(payload, nil, etherType, &want); got != decode.Decoded || drop != want {
				t.Fatalf("read as %+v; decoded %v, %+v", drop, got, want)
			}
		}
	})
}

// TestLayoutDecides changes one byte at a time: what the layout depends on, and what not.
func TestLayoutDecides(t *testing.T) {
	type change struct {
		name string
		at   int
		bits byte // that are flipped
		same bool // the packet still has the layout
	}
	ofIPv4 := []change{
		{"version", 0, 0x12, false}, {"DSCP", 1, 0x12, true}, {"identification", 5, 0x12, true}, {"more fragments", 6, 0x20, false},
		{"fragment offset", 6, 0x10, false}, {"fragment offset", 7, 0x01, false},
		{"TTL", 8, 0x12, true}, {"protocol", 9, 0x12, false}, {"checksum", 11, 0x12, true}, {"source", 12, 0x12, true}, {"destination", 19, 0x12, true},
	}
	ofIPv6 := []change{
		{"version", 0, 0x12, false}, {"flow label", 3, 0x12, true}, {"next header", 6, 0x12, false}, {"hop limit", 7, 0x12, true},
		{"source", 8, 0x12, true}, {"destination", 39, 0x12, true},
	}
	for name, packet := range plainPackets() {
		var drop decode.Drop
		decoder := decode.NewDecoder(decode.Config{})
		if decoder.Decode(packet, nil, 0, &drop) != decode.Decoded {
			t.Fatalf("%s is not decoded", name)
		}
		l := layoutOf(packet, &drop)
		changes, transport := ofIPv4, ipv4Header
		if drop.Family == decode.IPv6 {
			changes, transport = ofIPv6, ipv6Header
		}
		for at := range minTransport {
			changes = append(changes[:len(changes):len(changes)], change{"transport header", transport + at, 0x12, true})
		}
		for _, c := range changes {
			changed := bytes.Clone(packet)
			changed[c.at] ^= c.bits
			got, want := drop, decode.Drop{}
			if same := l.read(changed, &got); same != c.same {
				t.Errorf("%s with another %s has the layout: %v, want %v", name, c.name, same, c.same)
			}
			if decoder.Decode(changed, nil, 0, &want); c.same && got != want {
				t.Errorf("%s with another %s: %+v, decoded %+v", name, c.name, got, want)
			}
		}
	}
}

// TestNoLayout has packets whose fields are in other places, or missing.
func TestNoLayout(t *testing.T) {
	udp := []byte{0xa8, 0xca, 0, 53, 0, 8, 0, 0}
	options := ipv4(17, slices.Concat([]byte{0x94, 4, 0, 0}, udp)) // router alert
	options[0] = 0x46
	later := ipv4(17, udp)
	later[6], later[7] = 0, 5
	tests := map[string][]byte{
		"IP options": options, "later fragment": later, "other protocol": ipv4(47, udp), "cut": ipv4(17, udp)[:ipv4Header+3],
		"extension header": ipv6(0, slices.Concat([]byte{17, 0, 1, 4, 0, 0, 0, 0}, udp)), "cut IPv6": ipv6(17, udp)[:ipv6Header+3],
	}
	for name, packet := range tests {
		var drop decode.Drop
		if decode.NewDecoder(decode.Config{}).Decode(packet, nil, 0, &drop) != decode.Decoded {
			t.Fatalf("%s is not decoded", name)
		}
		if l := layoutOf(packet, &drop); l != (layout{}) || l.read(packet, &drop) {
			t.Errorf("%s has the layout %+v", name, l)
		}
	}
}
