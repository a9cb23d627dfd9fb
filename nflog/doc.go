// Package nflog receives the packets that netfilter rules log to an NFLOG group
// (iptables "-j NFLOG --nflog-group N", nftables "log group N").
//
// In goes a group's number. Out come the kernel's messages, one [Packet] at a time,
// and a [Count] for each [Reader.Read], which accounts for every loss. A Packet is a
// view into the Reader's one receive buffer, valid only until the callback returns.
//
// go-nflog and mdlayher/netlink open and configure the socket. After that the Reader
// reads batches of messages from its descriptor, because to receive them one by one
// costs ten times as much. A Reader blocks in the runtime's poller. While packets are
// few, it waits for the next datagram. Under load it leaves the socket alone for up to
// 20 ms at a time, so that several datagrams gather.
//
// A Reader belongs to one goroutine. Several groups need several Readers, which share
// nothing. Any number of goroutines may use one [Links].
package nflog
