package decode

import "encoding/binary"

// ipPayload is what follows an IP header with its options and extension headers, as
// far as it was copied.
//
// gopacket's layers do not read the IP headers. They refuse what segmentation offload
// and short copies produce (a length of 0, half an option), hide the ports of first
// fragments, and allocate for each hop-by-hop option.
type ipPayload struct {
	data     []byte
	protocol Protocol
	fragment bool // the packet is a fragment
	later    bool // the packet is a later fragment, which has no transport header
}

const ipv4Header = 20

// decode4 reads an IPv4 header (RFC 791, 3.1). A total length of 0 means that the
// packet is too large for the field, as segmentation offload makes them.
func (p *ipPayload) decode4(data []byte, drop *Drop) Result {
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
	p.fragment, p.later = fragment&(moreFragments|offset) != 0, fragment&offset != 0
	drop.Length, p.protocol = uint32(total), Protocol(data[9])
	putMapped(&drop.Source, data[12:])
	putMapped(&drop.Destination, data[16:])
	end := min(total, len(data))
	p.data = data[min(header, end):end]
	return Decoded
}

// putMapped writes a 4-byte address in its IPv4-mapped form (RFC 4291, 2.5.5.2). It
// writes whole words, because the flow table reads whole words soon after: a read of
// what several smaller writes made stalls the processor.
func putMapped(to *[16]byte, ip []byte) {
	binary.BigEndian.PutUint64(to[:8], 0)
	binary.BigEndian.PutUint64(to[8:], 0xffff<<32|uint64(binary.BigEndian.Uint32(ip)))
}

const ipv6Header = 40

// decode6 reads an IPv6 header (RFC 8200, 3) and its extension headers. A payload
// length of 0 before a payload means that the packet is too large for the field.
func (p *ipPayload) decode6(data []byte, drop *Drop) Result {
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
	p.protocol, p.data = Protocol(data[6]), data[ipv6Header:min(total, len(data))]
	p.fragment, p.later = false, false
	p.skipExtensions()
	return Decoded
}

// The extension headers that are skipped (RFC 8200, 4; RFC 4302).
const (
	hopByHop           Protocol = 0
	routing            Protocol = 43
	fragmentation      Protocol = 44
	authentication     Protocol = 51
	destinationOptions Protocol = 60
)

// skipExtensions follows the chain of headers up to the transport header, or up to
// where the copy ends. Then protocol is that of the first header that is cut.
func (p *ipPayload) skipExtensions() {
	for !p.later && len(p.data) >= 8 {
		var length int
		switch p.protocol {
		case hopByHop, routing, destinationOptions:
			length = 8 + 8*int(p.data[1])
		case authentication:
			length = 8 + 4*int(p.data[1])
		case fragmentation:
			length = 8
			p.fragment = true
			p.later = binary.BigEndian.Uint16(p.data[2:])&^7 != 0
		default:
			return
		}
		p.protocol = Protocol(p.data[0])
		p.data = p.data[min(length, len(p.data)):]
	}
}
