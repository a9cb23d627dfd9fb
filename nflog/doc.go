// Package nflog receives the packets that netfilter rules log to an NFLOG
// group (iptables "-j NFLOG --nflog-group N", nftables "log group N").
//
// In goes a group number; out come the kernel's messages, one [Packet] at a
// time, with every loss accounted for in the [Count] that each [Reader.Read]
// returns. A Packet is a view into the Reader's one receive buffer and is
// valid only until the callback it was handed to returns.
//
// The socket is opened and configured through go-nflog and mdlayher/netlink;
// messages are then read in batches from its descriptor, because receiving them
// one by one costs ten times as much. A Reader waits under the runtime's poller,
// but for the socket only while that is quiet: under load it leaves it alone for
// up to 20 ms at a time, in which datagrams gather.
//
// A Reader belongs to one goroutine. Several groups take several Readers,
// which share nothing. [Links] may be used by any number of goroutines.
package nflog
