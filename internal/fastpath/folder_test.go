package fastpath

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/nflog"
)

// logged is what the kernel says of one packet.
type logged struct {
	family, hook  uint8
	etherType     uint16
	prefix        string
	in, out, mark uint32
	time          int64 // in nanoseconds, whole microseconds; 0 for none
	payload       []byte
}

// message returns a message as the kernel makes them, except that one attribute stands
// behind the number.
func (l *logged) message(seq uint32) []byte {
	attribute := func(b []byte, typ uint16, value []byte) []byte {
		b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
		b = binary.NativeEndian.AppendUint16(b, typ)
		b = append(b, value...)
		return append(b, make([]byte, -len(value)&3)...)
	}
	number := func(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
	b := []byte{l.family, 0, 0, 100}
	b = attribute(b, 1, []byte{byte(l.etherType >> 8), byte(l.etherType), l.hook, 0})
	b = attribute(b, 10, append([]byte(l.prefix), 0))
	if l.in != 0 {
		b = attribute(b, 4, number(l.in))
	}
	if l.mark != 0 {
		b = attribute(b, 2, number(l.mark))
	}
	if l.time != 0 {
		seconds := binary.BigEndian.AppendUint64(nil, uint64(l.time/1e9))
		b = attribute(b, 3, binary.BigEndian.AppendUint64(seconds, uint64(l.time%1e9/1e3)))
	}
	b = attribute(b, 12, number(seq))
	if l.out != 0 {
		b = attribute(b, 5, number(l.out))
	}
	b = attribute(b, 9, l.payload)
	header := binary.NativeEndian.AppendUint32(nil, uint32(16+len(b)))
	header = binary.NativeEndian.AppendUint16(header, unix.NFNL_SUBSYS_ULOG<<8)
	return append(append(header, make([]byte, 10)...), b...)
}

// sender makes packets, many of which are like the one before.
type sender struct {
	*rand.Rand

	last logged
	time int64
}

func one[T any](s *sender, of ...T) T { return of[s.IntN(len(of))] }

// next returns the last packet, mostly with a change or two.
func (s *sender) next() logged {
	l := &s.last
	s.time += s.Int64N(2000) * 1000
	l.payload = append([]byte(nil), l.payload...)
	if len(l.payload) == 0 || s.IntN(8) == 0 {
		l.payload, l.etherType, l.family = s.packet()
	}
	for range s.IntN(3) {
		s.change(l)
	}
	if s.IntN(10) == 0 {
		l.time = 0
	} else {
		l.time = s.time
	}
	return *l
}

func (s *sender) change(l *logged) {
	switch b := l.payload; s.IntN(10) {
	case 0:
		l.prefix = one(s, "", "deny: ", "deny: x", "trace: ", "de\x01ny")
	case 1:
		l.in, l.out = one[uint32](s, 0, 3, 4), one[uint32](s, 0, 4, 5)
	case 2:
		l.hook = one[uint8](s, 0, 1, 2, 3, 4, 5)
	case 3:
		l.mark = one[uint32](s, 0, 0x10000)
	case 4: // the copy ends earlier
		l.payload = b[:s.IntN(len(b)+1)]
	case 5: // ports, type and code, flags
		if at := 20 + s.IntN(16); at < len(b) {
			b[at] = one[byte](s, 0, 1, 2, 0x12, 80)
		}
	case 6: // addresses
		if at := one(s, 12, 15, 16, 19, 23, 39); at < len(b) {
			b[at] = byte(s.IntN(4))
		}
	case 7: // lengths, fragment, next header
		if at := s.IntN(10); at < len(b) {
			b[at] = one[byte](s, 0, 0x20, 1, 6, 17, 28, 44, 58, b[at]+1)
		}
	case 8: // anything
		if len(b) > 0 {
			b[s.IntN(min(len(b), 64))] = byte(s.Uint32())
		}
	case 9:
		l.etherType = one[uint16](s, 0, unix.ETH_P_IP, unix.ETH_P_IP, unix.ETH_P_IPV6, unix.ETH_P_ARP)
	}
}

// packet returns a whole packet of one of a few flows.
func (s *sender) packet() (b []byte, etherType uint16, family uint8) {
	protocol := one[byte](s, 1, 6, 6, 6, 17, 17, 58, 132, 47)
	transport := make([]byte, one(s, 8, 20, 24))
	for i := range 4 {
		transport[i] = byte(s.IntN(3))
	}
	if len(transport) > 13 {
		transport[13] = byte(s.IntN(64))
	}
	if s.IntN(3) > 0 {
		header := make([]byte, one(s, 20, 20, 20, 24))
		copy(header, []byte{0x40 | byte(len(header)/4), 0, 0, byte(len(header) + len(transport)), byte(s.IntN(9)), 1, 0, 0, 64, protocol})
		header[6] = one[byte](s, 0, 0, 0x40, 0x20)
		header[7] = one[byte](s, 0, 0, 0, 5)
		copy(header[12:], []byte{10, 0, 0, byte(s.IntN(3)), 10, 0, 1, byte(s.IntN(3))})
		return slices.Concat(header, transport), unix.ETH_P_IP, unix.NFPROTO_IPV4
	}
	header := append([]byte{0x60, 0, 0, 0, 0, 0, protocol, 64}, make([]byte, 32)...)
	header[8], header[23], header[24], header[39] = 0xfd, byte(s.IntN(3)), 0xfd, byte(s.IntN(3))
	if s.IntN(3) == 0 { // an extension header: hop by hop, routing, fragment or options
		header[6] = one[byte](s, 0, 43, 44, 60)
		transport = append([]byte{protocol, 0, 0, one[byte](s, 0, 8), 0, 0, 0, 0}, transport...)
	}
	header[5] = byte(len(transport))
	return append(header, transport...), unix.ETH_P_IPV6, unix.NFPROTO_IPV6
}

// plainRow is what the packets of a flow share.
type plainRow struct {
	Prefix              string
	Hook                decode.Hook
	Family              decode.Family
	Protocol            decode.Protocol
	Source, Destination netip.Addr
	Port                uint16 // or ICMP type and code
	HasPorts, HasICMP   bool
	Fragment            bool // of later fragments
}

// plainSum is what a flow's packets add up to, and what is the last packet's.
type plainSum struct {
	Packets, Bytes uint64
	First, Last    int64
	SourcePort     uint16
	Flags          decode.TCPFlags
	In, Out        uint32
}

// plain folds packets one by one into a map. It decodes each with a new decoder.
type plain struct {
	wanted  []string
	flows   map[plainRow]plainSum
	results Results
}

func (m *plain) add(l *logged, received int64) {
	d := decode.Drop{Hook: decode.Hook(l.hook)}
	if l.hook == unix.NF_INET_NUMHOOKS {
		d.Hook = decode.HookIngress
	}
	result := decode.NewDecoder(decode.Config{Prefixes: m.wanted}).Decode(l.payload, []byte(l.prefix), l.etherType, &d)
	m.results[result]++
	if result != decode.Decoded {
		return
	}
	row := plainRow{
		Prefix: d.Prefix, Hook: d.Hook, Family: d.Family, Protocol: d.Protocol, Source: d.SourceAddr(), Destination: d.DestinationAddr(),
		HasPorts: d.HasPorts, HasICMP: d.HasICMP, Fragment: d.Fragment && !d.HasPorts && !d.HasICMP,
	}
	switch {
	case d.HasPorts:
		row.Port = d.DestinationPort
	case d.HasICMP:
		row.Port = uint16(d.ICMPType)<<8 | uint16(d.ICMPCode)
	}
	at := l.time
	if at == 0 {
		at = received
	}
	s, ok := m.flows[row]
	if !ok {
		s.First, s.Last = at, at
	}
	s.Packets++
	s.Bytes += uint64(d.Length)
	s.First, s.Last = min(s.First, at), max(s.Last, at)
	s.In, s.Out, s.Flags, s.SourcePort = l.in, l.out, 0, 0
	if d.HasPorts {
		s.SourcePort = d.SourcePort
		if d.Protocol == decode.TCP {
			s.Flags = d.TCPFlags
		}
	}
	m.flows[row] = s
}

// collect adds what a table has exported, in order.
func collect(flows map[plainRow]plainSum, table *flow.Table) {
	for {
		select {
		case w, ok := <-table.Windows():
			if !ok {
				return
			}
			for f := range w.Flows() {
				collectFlow(flows, f)
			}
			w.Release()
		default:
			return
		}
	}
}

func collectFlow(flows map[plainRow]plainSum, f *flow.Flow) {
	row := plainRow{
		Prefix: f.Prefix, Hook: f.Hook, Family: f.Family, Protocol: f.Protocol, Source: f.Source, Destination: f.Destination,
		HasPorts: f.HasPorts, HasICMP: f.HasICMP, Fragment: f.Fragment,
	}
	switch {
	case f.HasPorts:
		row.Port = f.DestinationPort
	case f.HasICMP:
		row.Port = uint16(f.ICMPType)<<8 | uint16(f.ICMPCode)
	}
	s, ok := flows[row]
	first, last := f.FirstSeen.UnixNano(), f.LastSeen.UnixNano()
	if !ok {
		s.First, s.Last = first, last
	}
	s.Packets += f.Packets
	s.Bytes += f.Bytes
	s.First, s.Last = min(s.First, first), max(s.Last, last)
	s.SourcePort, s.Flags, s.In, s.Out = f.SourcePort, f.TCPFlags, f.In, f.Out
	flows[row] = s
}

// datagrams is a Reader of datagrams that are there already.
type datagrams struct {
	parser nflog.Parser
	next   []byte
}

func (d *datagrams) Read(_ time.Time, handle func(*nflog.Packet)) (nflog.Count, error) {
	return d.parser.Parse(d.next, handle), nil
}

// TestFolder sends random packets, many of them like the one before, as datagrams through
// parser, Folder and table, which look at no more of a packet than they must. It compares
// each field and count of each flow with a decoder and a table that know nothing of the
// packet before.
func TestFolder(t *testing.T) {
	const seeds, reads = 40, 60
	for seed := range uint64(seeds) {
		s := &sender{Rand: rand.New(rand.NewPCG(seed, 13)), time: time.Unix(1_800_000_000, 0).UnixNano()}
		model := &plain{flows: map[plainRow]plainSum{}}
		if seed%2 == 0 {
			model.wanted = []string{"deny"}
		}
		table := flow.NewTable(flow.Config{})
		f := New(Config{Group: 100, Decode: decode.Config{Prefixes: model.wanted}, Table: table})
		got, results := map[plainRow]plainSum{}, Results{}
		var from datagrams
		var seq uint32
		for range reads {
			var sent []logged
			from.next = nil
			for range 1 + s.IntN(60) {
				l := s.next()
				sent = append(sent, l)
				from.next = append(from.next, l.message(seq)...)
				seq++
			}
			begin := time.Now().UnixNano()
			count, decoded, err := f.Fold(&from)
			if err != nil || count != (nflog.Count{Packets: len(sent)}) {
				t.Fatalf("seed %d: %+v, %v, want %d packets", seed, count, err, len(sent))
			}
			if f.received != 0 && f.received < begin {
				t.Fatalf("seed %d: the time of receipt is that of another datagram", seed)
			}
			for i := range sent {
				model.add(&sent[i], f.received)
			}
			for result, n := range decoded {
				results[result] += n
			}
			table.Export(time.Unix(0, s.time))
			collect(got, table)
		}
		if err := table.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		collect(got, table)
		if diff := cmp.Diff(model.flows, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Fatalf("seed %d: flows, -plain +fast:\n%s", seed, diff)
		}
		if results != model.results {
			t.Errorf("seed %d: results %v, want %v", seed, results, model.results)
		}
	}
}

func TestFoldDoesNotAllocate(t *testing.T) {
	table := flow.NewTable(flow.Config{})
	f := New(Config{Group: 100, Table: table})
	s := &sender{Rand: rand.New(rand.NewPCG(1, 2)), time: time.Unix(1_800_000_000, 0).UnixNano()}
	var from datagrams
	for seq := range uint32(200) {
		l := s.next()
		from.next = append(from.next, l.message(seq)...)
	}
	fold := func() {
		from.parser = nflog.Parser{}
		if _, _, err := f.Fold(&from); err != nil {
			t.Error(err)
		}
	}
	fold() // the tables grow
	if n := testing.AllocsPerRun(100, fold); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
}

// TestHookOf has the hooks whose numbers families share.
func TestHookOf(t *testing.T) {
	tests := []struct {
		family, hook uint8
		want         decode.Hook
	}{
		{unix.NFPROTO_IPV4, unix.NF_INET_PRE_ROUTING, decode.HookPrerouting},
		{unix.NFPROTO_IPV6, unix.NF_INET_FORWARD, decode.HookForward},
		{unix.NFPROTO_INET, unix.NF_INET_NUMHOOKS, decode.HookIngress},
		{unix.NFPROTO_BRIDGE, unix.NF_INET_NUMHOOKS, decode.HookBrouting},
		{unix.NFPROTO_NETDEV, 0, decode.HookIngress},
		{unix.NFPROTO_NETDEV, 1, decode.HookEgress},
	}
	for _, tt := range tests {
		if got := hookOf(&nflog.Packet{Family: tt.family, Hook: tt.hook}); got != tt.want {
			t.Errorf("family %d, hook %d: %v, want %v", tt.family, tt.hook, got, tt.want)
		}
	}
}
