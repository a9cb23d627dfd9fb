package decode

import (
	"bytes"
	"testing"
)

// FuzzLike decodes a packet and holds what is said of those that follow against
// what decoding them gives.
func FuzzLike(f *testing.F) {
	for _, c := range decodeCases() {
		f.Add(c.payload, c.payload, c.ether())
		f.Add(c.payload, fromAnother(c.payload), c.ether())
	}
	d, fresh := NewDecoder(nil), NewDecoder(nil)
	f.Fuzz(func(t *testing.T, first, second []byte, etherType uint16) {
		var drop, want Drop
		if d.Decode(first, nil, etherType, &drop) != Decoded {
			return
		}
		for _, payload := range [][]byte{second, first, second} {
			before := drop
			like := d.Like(payload, &drop)
			if like == Unlike {
				return
			}
			if got := fresh.Decode(payload, nil, etherType, &want); got != Decoded || drop != want {
				t.Fatalf("it is like (%d), as %+v; decoded %v, %+v", like, drop, got, want)
			}
			if sameFlow(&before, &drop) != (like == SameFlow) {
				t.Fatalf("likeness %d: %+v after %+v", like, drop, before)
			}
		}
	})
}

// sameFlow says whether two drops, of packets that are alike, are of one flow.
func sameFlow(a, b *Drop) bool {
	return a.Source == b.Source && a.Destination == b.Destination && a.DestinationPort == b.DestinationPort &&
		a.ICMPType == b.ICMPType && a.ICMPCode == b.ICMPCode
}

// TestLike changes one thing at a time in the packets that have a shape.
func TestLike(t *testing.T) {
	type change struct {
		name string
		at   int
		want Likeness
	}
	ipv4 := []change{
		{"version", 0, Unlike}, {"DSCP", 1, SameFlow}, {"identification", 5, SameFlow}, {"fragment offset", 7, Unlike},
		{"TTL", 8, SameFlow}, {"protocol", 9, Unlike}, {"checksum", 11, SameFlow}, {"source", 12, Alike},
		{"source's end", 15, Alike}, {"destination", 16, Alike}, {"destination's end", 19, Alike},
	}
	ipv6 := []change{
		{"version", 0, Unlike}, {"flow label", 3, SameFlow}, {"next header", 6, Unlike}, {"hop limit", 7, SameFlow},
		{"source", 8, Alike}, {"source's middle", 16, Alike}, {"source's end", 23, Alike},
		{"destination", 24, Alike}, {"destination's middle", 32, Alike}, {"destination's end", 39, Alike},
	}
	shapes := 0
	for _, c := range decodeCases() {
		var drop Drop
		d := NewDecoder(nil)
		if d.Decode(c.payload, nil, c.ether(), &drop) != Decoded || d.Like(c.payload, &drop) == Unlike {
			continue
		}
		shapes++
		all, transport := ipv4, ipv4Header
		if drop.Family == IPv6 {
			all, transport = ipv6, ipv6Header
		}
		start, end := SameFlow, Alike // source port and destination port
		if drop.HasICMP {
			start, end = Alike, SameFlow // type and code, and checksum
		}
		all = append(all[:len(all):len(all)],
			change{"source port or ICMP type", transport, start}, change{"source port or ICMP code", transport + 1, start},
			change{"destination port or checksum", transport + 2, end}, change{"destination port or checksum", transport + 3, end})
		for _, change := range all {
			changed := bytes.Clone(c.payload)
			changed[change.at] ^= 0x12
			if got := d.Like(changed, &drop); got != change.want {
				t.Errorf("%s: with another %s its likeness is %d, want %d", c.name, change.name, got, change.want)
			}
			if d.Decode(c.payload, nil, c.ether(), &drop) != Decoded {
				t.Errorf("%s: not decoded", c.name)
			}
		}
	}
	if shapes < 8 {
		t.Errorf("%d packets have a shape, want TCP, UDP, SCTP and ICMP of both IP versions at least", shapes)
	}
}

// TestNothingIsLike asks after packets that have no shape, or were not wanted.
func TestNothingIsLike(t *testing.T) {
	good := decodeCases()[0].payload
	for _, c := range decodeCases() {
		var drop Drop
		d := NewDecoder([]string{"deny"})
		d.Decode(good, []byte("deny"), 0, &drop)
		if d.Decode(c.payload, []byte("trace"), c.ether(), &drop) != Ignored || d.Like(c.payload, &drop) != Unlike || d.Like(good, &drop) != Unlike {
			t.Errorf("%s: a packet is like one that was ignored", c.name)
		}
	}
}
