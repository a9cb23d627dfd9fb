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

// ipv4 is gopacket's IPv4 layer, which sees a header without options: it would
// give up on a broken option although the rest of the packet is fine.
type ipv4 struct {
	layers.IPv4

	total  uint32 // bytes, as the header says
	header [20]byte
	rest   []byte
}

// DecodeFromBytes reads the header (RFC 791, 3.1). A total length of 0 is that
// of a packet too large for the field, as segmentation offload makes them.
func (l *ipv4) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	if len(data) < len(l.header) {
		return errTruncated
	}
	header, total := int(data[0]&0x0f)*4, int(binary.BigEndian.Uint16(data[2:]))
	if total == 0 {
		total = len(data)
	}
	if data[0]>>4 != 4 || header < len(l.header) || total < header {
		return errMalformed
	}
	end := min(total, len(data))
	l.total, l.rest = uint32(total), data[min(header, end):end]
	copy(l.header[:], data)
	l.header[0] = 0x45
	return l.IPv4.DecodeFromBytes(l.header[:], df)
}

func (l *ipv4) isFragment() bool {
	return l.FragOffset != 0 || l.Flags&layers.IPv4MoreFragments != 0
}

// LayerPayload returns what follows the header and its options.
func (l *ipv4) LayerPayload() []byte { return l.rest }

// NextLayerType is the transport layer, also in a first fragment, which
// gopacket would hand to its fragment layer; in a later one nothing.
func (l *ipv4) NextLayerType() gopacket.LayerType {
	if l.FragOffset != 0 {
		return gopacket.LayerTypeZero
	}
	return nextLayer(Protocol(l.Protocol), l.rest)
}

// ipv6 decodes the IPv6 header and the chain of extension headers behind it.
// It is not built on gopacket's layer, which allocates for each hop-by-hop
// option and refuses a payload length of 0, as segmentation offload makes it.
type ipv6 struct {
	source, destination [16]byte
	total               uint32 // bytes, as the header says
	protocol            Protocol
	fragment, later     bool // a fragment; one without the transport header
	rest                []byte
}

const ipv6Header = 40

// CanDecode names the layer that this stands in for.
func (l *ipv6) CanDecode() gopacket.LayerClass { return layers.LayerTypeIPv6 }

// LayerPayload returns what follows the extension headers.
func (l *ipv6) LayerPayload() []byte { return l.rest }

// NextLayerType is the transport layer, in a later fragment nothing.
func (l *ipv6) NextLayerType() gopacket.LayerType {
	if l.later {
		return gopacket.LayerTypeZero
	}
	return nextLayer(l.protocol, l.rest)
}

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
