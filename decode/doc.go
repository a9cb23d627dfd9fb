// Package decode turns the bytes of a logged packet into a [Drop].
//
// In goes what the kernel copied of an IPv4 or IPv6 packet, however short it is and
// whatever its bytes are. Out comes a plain value with the addresses, the protocol,
// and the ports or ICMP type, as far as the copy reaches. A packet of an unknown
// protocol has its protocol's number. Only bytes that are not an IP packet are not
// [Decoded]. No input makes the decoder panic, block or allocate.
//
// A [Decoder] belongs to one goroutine. This is the only package that imports
// gopacket.
package decode
