//go:build linux

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
)

// reader is what a receiver needs of an nflog.Reader.
type reader interface {
	Read(deadline time.Time, handle func(*nflog.Packet)) (nflog.Count, error)
	Err() error
	Stop()
	Close() error
}

// receiver brings the packets of one group into a flow table. Nothing in it
// waits for anything but the kernel.
type receiver struct {
	group   uint16
	reader  reader
	decoder *decode.Decoder
	table   *flow.Table
	counts  *packetCounters
	devices nflog.Devices
	pulse   pulse
	running atomic.Bool // run is under way
	reads   ownerText   // the process that reads the group instead
	log     *slog.Logger

	drop    decode.Drop // reused: of a packet that repeats a head, only what differs is set
	now     int64       // the time of receipt of the datagram at hand; 0 until it is asked for
	results [decode.Malformed + 1]int
}

// run receives until the reader was stopped and everything that the kernel had
// received by then is handed on, or ctx ends while that is under way.
func (r *receiver) run(ctx context.Context) error {
	r.running.Store(true)
	defer r.running.Store(false)
	for {
		r.pulse.beat(time.Now())
		count, err := r.reader.Read(r.table.Deadline(), r.receive)
		r.account(count) // all are folded then
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return errors.Join(err, r.table.Close(ctx))
		}
		r.table.HandOn(time.Now())
	}
}

// receive decodes one packet and folds it. Of most it need only be seen how like
// the one before they are.
func (r *receiver) receive(p *nflog.Packet) {
	d := &r.drop
	d.Time = p.Time
	if d.Time == 0 {
		d.Time = r.receiptTime()
	}
	payload, like := p.Network(&r.devices), decode.Unlike
	if p.Repeats {
		like = r.decoder.Like(payload, d)
	}
	switch like {
	case decode.SameFlow:
		r.results[decode.Decoded]++
		r.table.Again(d)
	case decode.Alike:
		r.results[decode.Decoded]++
		r.table.AddAlike(d)
	default:
		result := r.decode(p, payload)
		r.results[result]++
		if result == decode.Decoded {
			r.table.Add(d)
		}
	}
}

// decode fills in the drop.
func (r *receiver) decode(p *nflog.Packet, payload []byte) decode.Result {
	d := &r.drop
	if p.Repeats { // and so what d has of its rule and path
		return r.decoder.Again(payload, d)
	}
	d.Group, d.Hook, d.In, d.Out = r.group, hookOf(p), p.In, p.Out
	return r.decoder.Decode(payload, p.Prefix, p.EtherType, d)
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
	if c.Unsized > 0 {
		r.log.Warn("the kernel lost packets, nothing tells how many", "overruns", c.Unsized)
	}
}

// openReceiver binds a group. rules reads prefixes; local reports which addresses
// are this node's pods.
func openReceiver(group uint16, cfg *Config, rules *dialect.Parser, local func(netip.Addr) bool, m *metrics, log *slog.Logger) (*receiver, error) {
	flows := flow.Config{Window: cfg.FlowWindow, Local: local}
	decoder := decode.NewDecoder(cfg.Prefixes)
	decoder.Ignore(rules.Allows)
	r := &receiver{
		group: group, decoder: decoder, table: flow.NewTable(flows),
		counts: m.group(group), log: log.With("group", group),
	}
	opened, err := nflog.Open(nflog.Config{Group: group, AwaitGroup: cfg.AwaitGroups, Waits: r.pulse.pauses}, log)
	if err != nil {
		return nil, fmt.Errorf("receive packets: %w", err)
	}
	r.reader = opened
	if err := r.unbound(time.Now()); err != nil {
		r.log.Warn("no packets are received until the group is free", "error", err)
	}
	return r, nil
}
