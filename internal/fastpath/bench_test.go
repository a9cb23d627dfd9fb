package fastpath

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/internal/paired"
	"github.com/kube-nflog/kube-nflog/nflog"
)

// packets returns as many packets as a datagram has, of rules and flows in turn.
func packets(rules, flows int) []nflog.Packet {
	const n = 500
	all := make([]nflog.Packet, n)
	for i := range all {
		transport := append([]byte{0xa0, byte(i), 0x1f, 0x90}, make([]byte, 16)...)
		transport[12], transport[13] = 0x50, 0x02
		payload := ipv4(6, transport)
		payload[15] = byte(i % flows)
		all[i] = nflog.Packet{
			Payload: payload, Prefix: fmt.Appendf(nil, "rule %d: ", i%rules), Time: 1, In: 3, Out: 4,
			EtherType: unix.ETH_P_IP, Family: unix.NFPROTO_IPV4, Hook: unix.NF_INET_FORWARD,
		}
	}
	return all
}

// BenchmarkMatch compares a Folder with one that decodes each packet. Packets are of one
// flow, of 16 flows in turn, and of 16 rules in turn, where no packet matches the one
// before and the comparison is wasted.
func BenchmarkMatch(b *testing.B) {
	for _, c := range []struct {
		name         string
		rules, flows int
	}{{"flows=1", 1, 1}, {"flows=16", 1, 16}, {"rules=16", 16, 1}} {
		b.Run(c.name, func(b *testing.B) {
			all := packets(c.rules, c.flows)
			matching := New(Config{Group: 100, Table: flow.NewTable(flow.Config{})})
			decoding := New(Config{Group: 100, Table: flow.NewTable(flow.Config{})})
			paired.Compare(b, len(all), func() {
				for i := range all {
					matching.fold(&all[i])
				}
			}, func() {
				for i := range all {
					decoding.decode(&all[i], all[i].Payload)
				}
			})
		})
	}
}
