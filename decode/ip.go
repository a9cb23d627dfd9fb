package decode

import "encoding/binary"

// upper is what follows an IP header, its options and its extension headers,
// as far as it was copied. The IP headers are not read by gopacket's layers:
// those refuse what offload and cut copies make (a length of 0, half an
// option), hide the ports of first fragments, and allocate for each hop-by-hop
// option.
type upper struct {
	data     []byte
	protocol Protocol
	fragment bool // of a fragmented packet
	later    bool // not its first fragment: without the transport header
}

const ipv4Header = 20

// decode4 reads an IPv4 header (RFC 791, 3.1). A total length of 0 is that of
// a packet too large for the field, as segmentation offload makes them.
func (u *upper) decode4(data []byte, drop *Drop) Result {
	if len(data) < ipv4Header {
		return Truncated
	}
	header, total := int(data[0]&0x0f)*4, int(binary.BigEndian.Uint16(data[2:]))
	if total == 0 {
		total = len(data)
	}
	if data[0]>>4 != 4 || header < ipv4Header || total < header {
		return Malformed
	}
	const moreFragments, offset = 0x2000, 0x1fff
	fragment := binary.BigEndian.Uint16(data[6:])
	u.fragment, u.later = fragment&(moreFragments|offset) != 0, fragment&offset != 0
	drop.Length, u.protocol = uint32(total), Protocol(data[9])
	putMapped(&drop.Source, data[12:])
	putMapped(&drop.Destination, data[16:])
	end := min(total, len(data))
	u.data = data[min(header, end):end]
	return Decoded
}

// putMapped puts a 4-byte address into its IPv4-mapped form (RFC 4291, 2.5.5.2).
// It writes whole words because they are read as such soon after.
func putMapped(to *[16]byte, ip []byte) {
	binary.BigEndian.PutUint64(to[:8], 0)
	binary.BigEndian.PutUint64(to[8:], 0xffff<<32|uint64(binary.BigEndian.Uint32(ip)))
}

const ipv6Header = 40

// decode6 reads an IPv6 header (RFC 8200, 3) and its extensions. A payload
// length of 0 before a payload is that of a packet too large for the field.
func (u *upper) decode6(data []byte, drop *Drop) Result {
	if len(data) < ipv6Header {
		return Truncated
	}
	if data[0]>>4 != 6 {
		return Malformed
	}
	total := ipv6Header + int(binary.BigEndian.Uint16(data[4:]))
	if total == ipv6Header {
		total = len(data)
	}
	drop.Length = uint32(total)
	drop.Source, drop.Destination = [16]byte(data[8:24]), [16]byte(data[24:40])
	u.protocol, u.data = Protocol(data[6]), data[ipv6Header:min(total, len(data))]
	u.fragment, u.later = false, false
	u.walkExtensions()
	return Decoded
}

// The extension headers that are passed through (RFC 8200, 4; RFC 4302).
const (
	hopByHop           Protocol = 0
	routing            Protocol = 43
	fragmentation      Protocol = 44
	authentication     Protocol = 51
	destinationOptions Protocol = 60
)

// walkExtensions goes through the chain to the transport header, or to where
// the copy ends: then protocol is the first header that is not all there.
func (u *upper) walkExtensions() {
	for !u.later && len(u.data) >= 8 {
		var length int
		switch u.protocol {
		case hopByHop, routing, destinationOptions:
			length = 8 + 8*int(u.data[1])
		case authentication:
			length = 8 + 4*int(u.data[1])
		case fragmentation:
			length = 8
			u.fragment = true
			u.later = binary.BigEndian.Uint16(u.data[2:])&^7 != 0
		default:
			return
		}
		u.protocol = Protocol(u.data[0])
		u.data = u.data[min(length, len(u.data)):]
	}
}
