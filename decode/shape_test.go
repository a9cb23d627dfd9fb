package decode

import (
	"bytes"
	"testing"
)

// FuzzRepeats decodes a packet and holds what is said of the next against what
// decoding that one gives.
func FuzzRepeats(f *testing.F) {
	for _, c := range decodeCases() {
		f.Add(c.payload, c.payload, c.ether())
	}
	d, fresh := NewDecoder(nil), NewDecoder(nil)
	f.Fuzz(func(t *testing.T, first, second []byte, etherType uint16) {
		var drop, want Drop
		d.Decode(first, nil, etherType, &drop)
		if !d.Repeats(second, &drop) {
			return
		}
		if got := fresh.Decode(second, nil, etherType, &want); got != Decoded || drop != want {
			t.Errorf("it repeats, as %+v; decoded %v, %+v", drop, got, want)
		}
	})
}

// TestRepeats changes one thing at a time in the packets that have a shape.
func TestRepeats(t *testing.T) {
	type change struct {
		name string
		at   int
		want bool
	}
	ipv4 := []change{
		{"version", 0, false}, {"DSCP", 1, true}, {"identification", 5, true}, {"fragment offset", 7, false},
		{"TTL", 8, true}, {"protocol", 9, false}, {"checksum", 11, true}, {"source", 15, false}, {"destination", 19, false},
	}
	ipv6 := []change{
		{"version", 0, false}, {"flow label", 3, true}, {"next header", 6, false}, {"hop limit", 7, true},
		{"source", 8, false}, {"source's end", 23, false}, {"destination", 24, false}, {"destination's end", 39, false},
	}
	shapes := 0
	for _, c := range decodeCases() {
		var drop Drop
		d := NewDecoder(nil)
		if d.Decode(c.payload, nil, c.ether(), &drop) != Decoded || !d.Repeats(c.payload, &drop) {
			continue
		}
		shapes++
		all, transport := ipv4, ipv4Header
		if drop.Family == IPv6 {
			all, transport = ipv6, ipv6Header
		}
		ports := drop.HasPorts
		all = append(all[:len(all):len(all)],
			change{"source port or ICMP type", transport, ports}, change{"source port or ICMP code", transport + 1, ports},
			change{"destination port or checksum", transport + 2, !ports}, change{"destination port or checksum", transport + 3, !ports})
		for _, change := range all {
			changed := bytes.Clone(c.payload)
			changed[change.at] ^= 0x12
			got := drop
			if d.Repeats(changed, &got) != change.want {
				t.Errorf("%s: with another %s it repeats: %v", c.name, change.name, !change.want)
			}
		}
	}
	if shapes < 8 {
		t.Errorf("%d packets have a shape, want TCP, UDP, SCTP and ICMP of both IP versions at least", shapes)
	}
}

// TestNothingToRepeat asks after packets that have no shape, or were not wanted.
func TestNothingToRepeat(t *testing.T) {
	good := decodeCases()[0].payload
	for _, c := range decodeCases() {
		var drop Drop
		d := NewDecoder([]string{"deny"})
		d.Decode(good, []byte("deny"), 0, &drop)
		if d.Decode(c.payload, []byte("trace"), c.ether(), &drop) != Ignored || d.Repeats(c.payload, &drop) || d.Repeats(good, &drop) {
			t.Errorf("%s: a packet that is ignored is repeated", c.name)
		}
	}
}
