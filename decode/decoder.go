package decode

// Result is what became of a packet.
type Result uint8

// What becomes of a packet.
const (
	// Decoded means that the Drop is filled in.
	Decoded Result = iota
	// Ignored means that the prefix filter does not want the packet.
	Ignored
	// NotIP means that the payload is of another protocol, such as ARP.
	NotIP
	// Truncated means that the copy ends before the IP addresses do.
	Truncated
	// Malformed means that the IP header contradicts itself.
	Malformed
)

// String returns the result as metric labels have it.
func (r Result) String() string {
	return [...]string{"decoded", "ignored", "not_ip", "truncated", "malformed"}[r]
}

// EtherTypes (IEEE 802 numbers) that Decode understands.
const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// Config is which packets a Decoder ignores, by their NFLOG prefix.
type Config struct {
	// Prefixes are the wanted beginnings of prefixes; nil wants all.
	Prefixes []string
	// Ignore reports whether packets with a prefix, which may hold any bytes, are
	// ignored too. It is called once for each prefix, as long as a node's rules have no
	// more than a thousand. Nil ignores none.
	Ignore func(prefix string) bool
}

// Decoder decodes packets, one after the other, into layers that it reuses.
//
// It calls gopacket's layers itself. A DecodingLayerParser costs a third of a packet's
// decoding. It would also follow an inner IP header, and lose the outer addresses.
type Decoder struct {
	prefixes prefixes
	payload  ipPayload
	layers   transportLayers
}

// NewDecoder returns a Decoder.
func NewDecoder(cfg Config) *Decoder { return &Decoder{prefixes: newPrefixes(cfg)} }

// Decode fills in every field of drop that the packet's bytes and its rule's prefix
// give. It leaves Time, Group, Hook, In and Out as they are. etherType is the payload's
// protocol, 0 if it is not known. Unless the result is Decoded, drop is only partly set.
func (d *Decoder) Decode(payload, prefix []byte, etherType uint16, drop *Drop) Result {
	text, wanted := d.prefixes.intern(prefix)
	if !wanted {
		return Ignored
	}
	drop.Prefix = text
	var result Result
	switch drop.Family = ipVersion(payload, etherType); drop.Family {
	case IPv4:
		result = d.payload.decode4(payload, drop)
	case IPv6:
		result = d.payload.decode6(payload, drop)
	default:
		return NotIP
	}
	if result != Decoded {
		return result
	}
	drop.Protocol, drop.Fragment = d.payload.protocol, d.payload.fragment
	drop.setTransport(d.layers.decode(&d.payload))
	return Decoded
}

func ipVersion(payload []byte, etherType uint16) Family {
	switch {
	case etherType == etherIPv4:
		return IPv4
	case etherType == etherIPv6:
		return IPv6
	case etherType == 0 && len(payload) > 0:
		return Family(payload[0] >> 4)
	}
	return 0
}

func (d *Drop) setTransport(t transport) {
	d.HasPorts, d.SourcePort, d.DestinationPort = t.hasPorts, t.source, t.destination
	d.HasICMP, d.ICMPType, d.ICMPCode = t.hasICMP, t.icmpType, t.icmpCode
	d.TCPFlags = t.flags
}
