package fastpath

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/nflog"
)

// Config is what a Folder works with.
type Config struct {
	// Group is the NFLOG group.
	Group uint16
	// Decode is which packets are ignored.
	Decode decode.Config
	// Table is where the packets go.
	Table *flow.Table
	// Links finds the network header of packets that leave a device; may be nil.
	Links *nflog.Links
}

// Folder folds the packets of one group. It belongs to one goroutine, as its table does.
type Folder struct {
	group   uint16
	decoder *decode.Decoder
	table   *flow.Table
	links   *nflog.Links
	handle  func(*nflog.Packet) // the method fold, bound once so that a read allocates nothing

	received int64   // when the datagram was received, in nanoseconds since 1970; 0 until it is needed
	results  Results // of the datagram

	// The packet before: what its message says beside the payload, where its fields are,
	// and what it was decoded to. The next packet overwrites what differs in drop.
	header header
	prefix []byte
	layout layout
	drop   decode.Drop
}

// New returns a Folder.
func New(cfg Config) *Folder {
	f := &Folder{group: cfg.Group, decoder: decode.NewDecoder(cfg.Decode), table: cfg.Table, links: cfg.Links}
	f.handle = f.fold
	return f
}

// Results counts packets by what became of them.
type Results [decode.Malformed + 1]int

// Reader is an [nflog.Reader].
type Reader interface {
	Read(deadline time.Time, handle func(*nflog.Packet)) (nflog.Count, error)
}

// Fold waits for the next datagram, at most until the table has something to export, and
// folds its packets into the table. It returns what the Reader does, and what became of
// the packets.
func (f *Folder) Fold(from Reader) (nflog.Count, Results, error) {
	f.received, f.results = 0, Results{}
	count, err := from.Read(f.table.Deadline(), f.handle)
	return count, f.results, err
}

// fold folds one packet.
func (f *Folder) fold(p *nflog.Packet) {
	d := &f.drop
	d.Time = p.Time
	if d.Time == 0 {
		d.Time = f.receivedAt()
	}
	payload := p.Network(f.links)
	if headerOf(p) == f.header && bytes.Equal(p.Prefix, f.prefix) && f.layout.read(payload, d) {
		f.results[decode.Decoded]++
		f.table.Add(d)
		return
	}
	f.decode(p, payload)
}

// decode folds a packet that does not match the one before.
func (f *Folder) decode(p *nflog.Packet, payload []byte) {
	f.header, f.prefix = headerOf(p), append(f.prefix[:0], p.Prefix...)
	f.layout = layout{} // so that no packet matches one that was not decoded
	d := &f.drop
	d.Group, d.Hook, d.In, d.Out = f.group, hookOf(p), p.In, p.Out
	result := f.decoder.Decode(payload, p.Prefix, p.EtherType, d)
	f.results[result]++
	if result == decode.Decoded {
		f.layout = layoutOf(payload, d)
		f.table.Add(d)
	}
}

// receivedAt returns when the datagram was received. It reads the clock once for each
// datagram, because a call costs as much as some packets.
func (f *Folder) receivedAt() int64 {
	if f.received == 0 {
		f.received = time.Now().UnixNano()
	}
	return f.received
}

// header is what a message says beside payload, prefix and time. A drop is made of it:
// two packets that agree in it and in their prefix agree in those fields of the drop.
type header struct {
	in, out      uint32
	etherType    uint16
	family, hook uint8
}

func headerOf(p *nflog.Packet) header {
	return header{in: p.In, out: p.Out, etherType: p.EtherType, family: p.Family, hook: p.Hook}
}

// hookOf tells hooks apart that have the same number. The netdev family's ingress and
// egress have the numbers of prerouting and input. The inet family's ingress
// (NF_INET_INGRESS) has that of the bridge family's brouting.
func hookOf(p *nflog.Packet) decode.Hook {
	switch {
	case p.Family == unix.NFPROTO_NETDEV:
		return decode.HookIngress + decode.Hook(p.Hook)
	case p.Hook == unix.NF_INET_NUMHOOKS && p.Family != unix.NFPROTO_BRIDGE:
		return decode.HookIngress
	}
	return decode.Hook(p.Hook)
}
