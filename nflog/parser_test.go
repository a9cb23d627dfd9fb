package nflog

import (
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
			packets: []Packet{fullPacket(0), again(fullPacket(1)), again(fullPacket(4))}, count: Count{Packets: 3, Lost: 2},
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
		{name: "short number", datagram: message(msgPacket, groupHeader, attribute(attrMark, 1, 2, 3)), count: Count{Malformed: 1}},
		{name: "short header", datagram: message(msgPacket, groupHeader, attribute(attrPacketHeader, 8, 0)), count: Count{Malformed: 1}},
		{name: "short time", datagram: message(msgPacket, groupHeader, attribute(attrTimestamp, 1, 2, 3)), count: Count{Malformed: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			packets, count := parse(tt.datagram)
			if diff := cmp.Diff(tt.packets, packets); diff != "" {
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
