//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
)

// receiver brings the packets of one group into a flow table. Nothing in it
// waits for anything but the kernel.
type receiver struct {
	group    uint16
	reader   *nflog.Reader
	decoder  *decode.Decoder
	table    *flow.Table
	counts   *packetCounters
	pulse    pulse
	nextBeat time.Time
	log      *slog.Logger

	drop    decode.Drop // reused: of a packet that repeats a head, only what differs is set
	now     int64       // the time of receipt of the datagram at hand; 0 until it is asked for
	results [decode.Malformed + 1]int
}

// beat is how often a receiver shows at least that it is not stuck.
const beat = 20 * time.Second

// run receives until the reader was stopped and everything that the kernel had
// received by then is handed on, or ctx ends while that is under way.
func (r *receiver) run(ctx context.Context) error {
	r.beat(time.Now())
	for {
		count, err := r.reader.Read(r.deadline(), r.receive)
		r.account(count) // all are folded then
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, r.table.Close(ctx))
		}
		now := time.Now()
		r.table.HandOn(now)
		r.beat(now)
	}
}

func (r *receiver) beat(now time.Time) {
	r.pulse.beat(now)
	if !now.Before(r.nextBeat) {
		r.nextBeat = now.Add(beat)
	}
}

// deadline is when the table has something to hand on, or at the latest the
// next beat, which is put off only once it has passed: a deadline that stays
// the same costs nothing.
func (r *receiver) deadline() time.Time {
	if due := r.table.Deadline(); !due.IsZero() && due.Before(r.nextBeat) {
		return due
	}
	return r.nextBeat
}

// receive decodes one packet and folds it.
func (r *receiver) receive(p *nflog.Packet) {
	d := &r.drop
	d.Time = p.Time
	if d.Time == 0 {
		d.Time = r.receiptTime()
	}
	var result decode.Result
	if p.Repeats { // and so what d has of its rule and path
		result = r.decoder.Again(ipOf(p), d)
	} else {
		d.Group, d.Hook, d.In, d.Out = r.group, hookOf(p), p.In, p.Out
		result = r.decoder.Decode(ipOf(p), p.Prefix, p.EtherType, d)
	}
	r.results[result]++
	if result == decode.Decoded {
		r.table.Add(d)
	}
}

// hookOf tells the device hooks from those whose numbers they share: the netdev
// family's from the first two, and the inet family's ingress (NF_INET_INGRESS)
// from the bridge family's brouting.
func hookOf(p *nflog.Packet) decode.Hook {
	switch {
	case p.Family == unix.NFPROTO_NETDEV:
		return decode.HookIngress + decode.Hook(p.Hook)
	case p.Hook == unix.NF_INET_NUMHOOKS && p.Family != unix.NFPROTO_BRIDGE:
		return decode.HookIngress
	}
	return decode.Hook(p.Hook)
}

// ipOf is the packet from its IP header on. At a device's egress the kernel
// copies from the link-layer header on, and does not say how long that is:
// it is taken for Ethernet's if the packet's type and version are behind it.
func ipOf(p *nflog.Packet) []byte {
	const ethernet = 14
	b := p.Payload
	if p.Family == unix.NFPROTO_NETDEV && p.Hook == 1 && len(b) > ethernet &&
		binary.BigEndian.Uint16(b[ethernet-2:]) == p.EtherType {
		return b[ethernet:]
	}
	return b
}

func (r *receiver) receiptTime() int64 {
	if r.now == 0 {
		r.now = time.Now().UnixNano()
	}
	return r.now
}

// account publishes what a read brought, every packet in one counter.
func (r *receiver) account(c nflog.Count) {
	r.now = 0
	r.counts.add(c, &r.results)
	clear(r.results[:])
	r.counts.overflowedTo(r.table.Overflowed())
	if c.Lost > 0 || c.Overruns > 0 {
		r.log.Debug("the kernel lost packets", "lost", c.Lost, "overruns", c.Overruns)
	}
}

// openReceiver binds a group. rules reads prefixes; local says which addresses
// are this node's pods.
func openReceiver(group uint16, o *options, rules *dialect.Parser, local func(netip.Addr) bool, m *metrics, log *slog.Logger) (*receiver, error) {
	flows := flow.Config{Window: o.flowWindow, Local: local}
	reader, err := nflog.Open(nflog.Config{Group: group}, log)
	if err != nil {
		return nil, fmt.Errorf("receive packets: %w", err)
	}
	decoder := decode.NewDecoder(o.prefixes)
	decoder.Ignore(rules.Allows)
	return &receiver{
		group: group, reader: reader, decoder: decoder, table: flow.NewTable(flows),
		counts: m.group(group), log: log.With("group", group),
	}, nil
}
