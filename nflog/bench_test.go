package nflog

import (
	"strings"
	"testing"
)

// BenchmarkWalk goes through a datagram of 500 packets as the kernel logs them
// on the way through a node: of one rule, and of many in turn.
func BenchmarkWalk(b *testing.B) {
	b.Run("one prefix", func(b *testing.B) { benchmarkWalk(b, 1) })
	b.Run("16 prefix lengths", func(b *testing.B) { benchmarkWalk(b, 16) })
}

func benchmarkWalk(b *testing.B, prefixes int) {
	b.Helper()
	const packets = 500
	var datagram []byte
	for i := range packets {
		datagram = append(datagram, routed(uint32(i), "deny: "+strings.Repeat("x", i%prefixes))...)
	}
	var p Parser
	var bytes int
	handle := func(p *Packet) { bytes += len(p.Payload) }
	b.ReportAllocs()
	for b.Loop() {
		p.seq.next = 0
		p.Parse(datagram, handle)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets*b.N), "ns/packet")
}

// routed is a packet on its way through a node.
func routed(seq uint32, prefix string) []byte {
	payload := append([]byte{0x45, 0, 0, 92}, make([]byte, 88)...)
	return message(msgPacket, groupHeader,
		attribute(attrPacketHeader, 0x08, 0x00, 2, 0),
		attribute(attrPrefix, append([]byte(prefix), 0)...),
		attribute(attrIn, be32(3)...), attribute(attrOut, be32(4)...),
		attribute(attrMark, be32(0x10000)...),
		attribute(8, 0, 6, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0),
		attribute(15, 0, 1), attribute(17, 0, 14), attribute(attrLinkHeader, make([]byte, 14)...),
		attribute(attrTimestamp, 0, 0, 0, 0, 0x6a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7),
		attribute(attrSeq, be32(seq)...),
		attribute(attrPayload, payload...))
}
