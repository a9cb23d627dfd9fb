package nflog

import "testing"

// BenchmarkWalk goes through a datagram of 500 packets as the kernel logs them
// on the way through a node.
func BenchmarkWalk(b *testing.B) {
	var datagram []byte
	payload := append([]byte{0x45, 0, 0, 92}, make([]byte, 88)...)
	for i := range 500 {
		datagram = append(datagram, message(msgPacket, groupHeader,
			attribute(attrPacketHeader, 0x08, 0x00, 2, 0),
			attribute(attrPrefix, []byte("deny: \x00")...),
			attribute(attrIn, be32(3)...), attribute(attrOut, be32(4)...),
			attribute(attrMark, be32(0x10000)...),
			attribute(8, 0, 6, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0),
			attribute(15, 0, 1), attribute(17, 0, 14), attribute(attrLinkHeader, make([]byte, 14)...),
			attribute(attrTimestamp, 0, 0, 0, 0, 0x6a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7),
			attribute(attrSeq, be32(uint32(i))...),
			attribute(attrPayload, payload...))...)
	}
	r := Reader{buf: datagram}
	var bytes int
	handle := func(p *Packet) { bytes += len(p.Payload) }
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		r.seq.next = 0
		r.count(len(datagram), handle)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(500*b.N), "ns/packet")
}
