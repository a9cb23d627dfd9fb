package decode

import (
	"encoding/binary"
	"errors"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// The IP layers' errors, made once: a flood of broken packets must not
// allocate.
var (
	errTruncated = errors.New("the copy ends inside the IP header")
	errMalformed = errors.New("the IP header contradicts itself")
)

// network is what both versions' headers say. The two layers are decoding
// layers for gopacket's parser, but not built on gopacket's own: those refuse
// what offload and cut copies make (a length of 0, half an option), hide the
// ports of first fragments, and allocate for each hop-by-hop option.
type network struct {
	source, destination [16]byte
	total               uint32 // bytes, as the header says
	protocol            Protocol
	fragment, later     bool   // a fragment; one without the transport header
	rest                []byte // what follows the header and its options
}

// LayerPayload returns what follows the header, its options and extensions.
func (n *network) LayerPayload() []byte { return n.rest }

// NextLayerType is the transport layer, in a later fragment nothing.
func (n *network) NextLayerType() gopacket.LayerType {
	if n.later {
		return gopacket.LayerTypeZero
	}
	return nextLayer(n.protocol, n.rest)
}

// ipv4 decodes the IPv4 header; its options are passed over.
type ipv4 struct{ network }

const ipv4Header = 20

// CanDecode names the layer that this stands in for.
func (*ipv4) CanDecode() gopacket.LayerClass { return layers.LayerTypeIPv4 }

// DecodeFromBytes reads the header (RFC 791, 3.1). A total length of 0 is that
// of a packet too large for the field, as segmentation offload makes them.
func (l *ipv4) DecodeFromBytes(data []byte, _ gopacket.DecodeFeedback) error {
	if len(data) < ipv4Header {
		return errTruncated
	}
	header, total := int(data[0]&0x0f)*4, int(binary.BigEndian.Uint16(data[2:]))
	if total == 0 {
		total = len(data)
	}
	if data[0]>>4 != 4 || header < ipv4Header || total < header {
		return errMalformed
	}
	const moreFragments, offset = 0x2000, 0x1fff
	fragment := binary.BigEndian.Uint16(data[6:])
	l.fragment, l.later = fragment&(moreFragments|offset) != 0, fragment&offset != 0
	l.total, l.protocol = uint32(total), Protocol(data[9])
	l.source, l.destination = mapped(data[12:16]), mapped(data[16:20])
	end := min(total, len(data))
	l.rest = data[min(header, end):end]
	return nil
}

// mapped puts a 4-byte address into its IPv4-mapped form (RFC 4291, 2.5.5.2).
func mapped(ip []byte) [16]byte {
	return [16]byte{10: 0xff, 11: 0xff, 12: ip[0], 13: ip[1], 14: ip[2], 15: ip[3]}
}

// ipv6 decodes the IPv6 header and the chain of extension headers behind it.
type ipv6 struct{ network }

const ipv6Header = 40

// CanDecode names the layer that this stands in for.
func (*ipv6) CanDecode() gopacket.LayerClass { return layers.LayerTypeIPv6 }

// DecodeFromBytes reads the header (RFC 8200, 3) and its extensions.
func (l *ipv6) DecodeFromBytes(data []byte, _ gopacket.DecodeFeedback) error {
	if len(data) < ipv6Header {
		return errTruncated
	}
	if data[0]>>4 != 6 {
		return errMalformed
	}
	total := ipv6Header + int(binary.BigEndian.Uint16(data[4:]))
	if total == ipv6Header && len(data) > ipv6Header {
		total = len(data)
	}
	l.total = uint32(total)
	l.source, l.destination = [16]byte(data[8:24]), [16]byte(data[24:40])
	l.protocol, l.rest = Protocol(data[6]), data[ipv6Header:min(total, len(data))]
	l.fragment, l.later = false, false
	l.walkExtensions()
	return nil
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
func (l *ipv6) walkExtensions() {
	for !l.later && len(l.rest) >= 8 {
		var length int
		switch l.protocol {
		case hopByHop, routing, destinationOptions:
			length = 8 + 8*int(l.rest[1])
		case authentication:
			length = 8 + 4*int(l.rest[1])
		case fragmentation:
			length = 8
			l.fragment = true
			l.later = binary.BigEndian.Uint16(l.rest[2:])&^7 != 0
		default:
			return
		}
		l.protocol = Protocol(l.rest[0])
		l.rest = l.rest[min(length, len(l.rest)):]
	}
}
