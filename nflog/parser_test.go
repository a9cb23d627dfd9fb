package nflog

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseDatagram(t *testing.T) {
	bare := Packet{Family: unix.AF_INET}
	tests := []struct {
		name     string
		datagram []byte
		packets  []Packet
		count    Count
	}{
		{name: "empty"},
		{name: "every attribute", datagram: full(0), packets: []Packet{fullPacket(0)}, count: Count{Packets: 1}},
		{
			name: "a batch, a gap and its end", datagram: join(full(0), full(1), full(4), message(unix.NLMSG_DONE), full(9)),
			packets: []Packet{fullPacket(0), fullPacket(1), fullPacket(4)}, count: Count{Packets: 3, Lost: 2},
		},
		{name: "another message is passed over", datagram: join(message(unix.NLMSG_NOOP), full(0)), packets: []Packet{fullPacket(0)}, count: Count{Packets: 1}},
		{name: "no attributes", datagram: message(msgPacket, groupHeader), packets: []Packet{bare}, count: Count{Packets: 1}},
		{name: "zero-length value", datagram: message(msgPacket, groupHeader, attribute(attrPayload)), packets: []Packet{{Family: unix.AF_INET, Payload: []byte{}}}, count: Count{Packets: 1}},
		{
			name: "a time beyond nanoseconds is none", datagram: message(msgPacket, groupHeader,
				attribute(attrTimestamp, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
			packets: []Packet{bare}, count: Count{Packets: 1},
		},

		{name: "message header cut", datagram: full(0)[:15], count: Count{Malformed: 1}},
		{name: "message longer than the datagram", datagram: full(0)[:40], count: Count{Malformed: 1}},
		{name: "message shorter than its header", datagram: append([]byte{15, 0, 0, 0}, make([]byte, 60)...), count: Count{Malformed: 1}},
		{name: "no group header", datagram: message(msgPacket, []byte{1, 2}), count: Count{Malformed: 1}},
		{
			name: "the next message goes on", datagram: join(message(msgPacket, groupHeader, []byte{3, 0, 1, 0}), full(0)),
			packets: []Packet{fullPacket(0)}, count: Count{Packets: 1, Malformed: 1},
		},
		{name: "attribute longer than the message", datagram: message(msgPacket, groupHeader, []byte{9, 0, attrPayload, 0, 1, 2, 3, 4}), count: Count{Malformed: 1}},
		{name: "bytes behind the last attribute", datagram: message(msgPacket, groupHeader, attribute(attrPayload, 1, 2, 3, 4), []byte{1, 2}), count: Count{Malformed: 1}},
		{name: "short number", datagram: message(msgPacket, groupHeader, attribute(attrIn, 1, 2, 3)), count: Count{Malformed: 1}},
		{name: "short header", datagram: message(msgPacket, groupHeader, attribute(attrPacketHeader, 8, 0)), count: Count{Malformed: 1}},
		{name: "short time", datagram: message(msgPacket, groupHeader, attribute(attrTimestamp, 1, 2, 3)), count: Count{Malformed: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packets, count := parse(tt.datagram)
			if diff := cmp.Diff(tt.packets, packets, cmp.AllowUnexported(Packet{})); diff != "" {
				t.Errorf("packets: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.count, count); diff != "" {
				t.Errorf("count: -want +got:\n%s", diff)
			}
		})
	}
}

// TestParseCut cuts a batch at every length: whole packets come out, the rest
// is one malformed message.
func TestParseCut(t *testing.T) {
	one := len(full(0))
	batch := join(full(0), full(1), full(2))
	for n := range batch {
		packets, count := parse(batch[:n])
		want := Count{Packets: n / one}
		if n%one != 0 {
			want.Malformed = 1
		}
		if len(packets) != want.Packets || count != want {
			t.Fatalf("cut to %d bytes: %+v, want %+v", n, count, want)
		}
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	var parser Parser
	datagram := join(full(0), full(1))
	var payload int
	handle := func(p *Packet) { payload += len(p.Payload) }
	if n := testing.AllocsPerRun(100, func() { parser.Parse(datagram, handle) }); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}

func TestSequence(t *testing.T) {
	tests := []struct {
		name string
		seen []uint32
		lost uint64
	}{
		{"in order", []uint32{0, 1, 2}, 0},
		{"lost before the first", []uint32{3, 4}, 3},
		{"gaps", []uint32{0, 2, 5}, 3},
		{"wraps", []uint32{0, 1<<31 - 1, 1<<32 - 2, 1<<32 - 1, 0, 1}, 1<<31 - 2 + 1<<31 - 2},
		{"starts anew", []uint32{0, 1, 2, 0, 1}, 0},
	}
	for _, tt := range tests {
		var s sequence
		for _, n := range tt.seen {
			s.see(n)
		}
		if s.lost != tt.lost {
			t.Errorf("%s: %d lost, want %d", tt.name, s.lost, tt.lost)
		}
	}
}

// TestUnsizedOverruns mixes overruns and packets: each gap shows the size of one overrun.
func TestUnsizedOverruns(t *testing.T) {
	const overrun = -1
	tests := []struct {
		name    string
		seen    []int64
		unsized int
	}{
		{"none", []int64{0, 1}, 0},
		{"nothing follows", []int64{0, overrun}, 1},
		{"what was in the socket follows", []int64{0, overrun, 1, 2}, 1},
		{"a gap follows", []int64{0, overrun, 1, 5}, 0},
		{"a gap without an overrun", []int64{0, 5, overrun}, 1},
		{"two gaps for two overruns", []int64{0, overrun, 5, overrun, 9}, 0},
		{"the second before the first's gap", []int64{0, overrun, overrun, 5, 6}, 1},
	}
	for _, tt := range tests {
		var s sequence
		for _, n := range tt.seen {
			if n == overrun {
				s.unsized++
			} else {
				s.see(uint32(n))
			}
		}
		if got := s.takeUnsized(); got != tt.unsized || s.unsized != 0 {
			t.Errorf("%s: %d unsized, want %d", tt.name, got, tt.unsized)
		}
	}
}

// Attributes that Packet has no field for.
const (
	attrMark       = 2
	attrPhysIn     = 6
	attrPhysOut    = 7
	attrUID        = 11
	attrGID        = 14
	attrLinkHeader = 16
)

// attribute is a netlink attribute with its padding.
func attribute(typ uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(sizeAttributeHeader+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	return pad(append(b, value...))
}

// message is a netlink message with its padding.
func message(typ uint16, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	b := binary.NativeEndian.AppendUint32(nil, uint32(sizeMessageHeader+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, make([]byte, sizeMessageHeader-6)...) // flags, sequence, port id
	return pad(append(b, body...))
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// groupHeader is struct nfgenmsg of group 100.
var groupHeader = []byte{unix.AF_INET, 0, 0, 100}

// full has every attribute that the kernel sends for a forwarded packet with an owner.
func full(seq uint32) []byte {
	return message(msgPacket, groupHeader,
		attribute(attrPacketHeader, 0x08, 0x00, 2, 0),
		attribute(attrPrefix, []byte("deny: \x00")...),
		attribute(attrIn, be32(3)...), attribute(attrOut, be32(4)...),
		attribute(attrPhysIn, be32(5)...), attribute(attrPhysOut, be32(6)...),
		attribute(attrMark, be32(0x10000)...),
		attribute(8, 0, 6, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0), // NFULA_HWADDR
		attribute(attrLinkHeader|unix.NLA_F_NESTED, 1, 2, 3, 4, 5),
		attribute(attrUID, be32(1000)...), attribute(attrGID, be32(1001)...),
		attribute(attrTimestamp, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 7),
		attribute(attrSeq, be32(seq)...),
		attribute(attrPayload, 0x45, 1, 2),
	)
}

func fullPacket(seq uint32) Packet {
	return Packet{
		Family: unix.AF_INET, EtherType: 0x0800, Hook: 2, Prefix: []byte("deny: "), In: 3, Out: 4,
		Time: 10_000_007_000, seq: seq, hasSeq: true, Payload: []byte{0x45, 1, 2},
	}
}

// parse gives one datagram to a Parser.
func parse(datagram []byte) ([]Packet, Count) {
	var parser Parser
	var packets []Packet
	count := parser.Parse(datagram, func(p *Packet) { packets = append(packets, *p) })
	return packets, count
}
