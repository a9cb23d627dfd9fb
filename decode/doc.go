// Package decode turns the bytes of a logged packet into a [Drop].
//
// In goes what the kernel copied of an IPv4 or IPv6 packet, however little of
// it and whatever its bytes; out comes a plain value with the addresses, the
// protocol, and ports or ICMP type as far as the copy reaches. A packet that it
// has never heard of is its protocol number; only bytes that are no IP packet
// are not [Decoded]. No input makes it panic, block or allocate.
//
// A [Decoder] belongs to one goroutine. This is the only package that knows
// gopacket.
package decode
