package nflog

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
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

// full has every attribute that a Packet takes, and one that it does not.
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
		Family: unix.AF_INET, EtherType: 0x0800, Hook: 2, Prefix: []byte("deny: "), In: 3, Out: 4, PhysIn: 5, PhysOut: 6,
		Mark: 0x10000, LinkHeader: []byte{1, 2, 3, 4, 5}, UID: 1000, GID: 1001, HasOwner: true,
		Time: 10_000_007_000, Seq: seq, HasSeq: true, Payload: []byte{0x45, 1, 2},
	}
}

// again is a packet that follows another of its path.
func again(p Packet) Packet {
	p.Repeats = true
	return p
}

// parse gives one datagram to a Parser.
func parse(datagram []byte) ([]Packet, Count) {
	var parser Parser
	var packets []Packet
	count := parser.Parse(datagram, func(p *Packet) { packets = append(packets, *p) })
	return packets, count
}
