package nflog

import (
	"context"
	"log/slog"
	"testing"
	"time"

	gonflog "github.com/florianl/go-nflog/v2"

	"github.com/kube-nflog/kube-nflog/nflog"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// seen holds the attributes of a packet that both readers report.
type seen struct {
	Prefix, Payload string
	Time            int64
	In, Out         uint32
	EtherType       uint16
	Hook            uint8
}

func ofPacket(p *nflog.Packet) seen {
	return seen{
		Prefix: string(p.Prefix), Payload: string(p.Payload), Time: p.Time,
		In: p.In, Out: p.Out, EtherType: p.EtherType, Hook: p.Hook,
	}
}

func ofAttribute(a gonflog.Attribute) seen {
	s := seen{
		Payload: string(value(a.Payload)), Prefix: value(a.Prefix), In: value(a.InDev), Out: value(a.OutDev),
		EtherType: value(a.HwProtocol), Hook: value(a.Hook),
	}
	if a.Timestamp != nil {
		s.Time = a.Timestamp.UnixNano()
	}
	return s
}

// value returns the value that p points to, or the zero value if p is nil.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// open binds a group in the namespace with the reader under test.
func open(t *testing.T, ns *netlab.Namespace, cfg nflog.Config) *nflog.Reader {
	t.Helper()
	var r *nflog.Reader
	err := ns.Do(func() (err error) {
		r, err = nflog.Open(cfg, slog.New(slog.DiscardHandler))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// readAll reads until no packet has come for longer than the kernel may hold packets back.
func readAll(t *testing.T, r *nflog.Reader) (all []seen, total nflog.Count) {
	t.Helper()
	for {
		count, err := r.Read(time.Now().Add(500*time.Millisecond), func(p *nflog.Packet) { all = append(all, ofPacket(p)) })
		if err != nil {
			t.Fatal(err)
		}
		if count == (nflog.Count{}) {
			return all, total
		}
		total.Packets += count.Packets
		total.Lost += count.Lost
		total.Malformed += count.Malformed
		total.Overruns += count.Overruns
	}
}

// openReference binds a group in the namespace with go-nflog's hook. The hook sends the
// packets on the channel.
func openReference(t *testing.T, ns *netlab.Namespace, group uint16) <-chan seen {
	t.Helper()
	attributes := make(chan seen, 10_000)
	var hook *gonflog.Nflog
	err := ns.Do(func() (err error) {
		hook, err = gonflog.Open(&gonflog.Config{
			Group: group, Copymode: gonflog.CopyPacket, Bufsize: 128, Flags: gonflog.FlagSeq, Timeout: 10,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		if err := hook.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := hook.Con.SetReadBuffer(16 << 20); err != nil {
		t.Fatal(err)
	}
	take := func(a gonflog.Attribute) int {
		attributes <- ofAttribute(a)
		return 0
	}
	if err := hook.RegisterWithErrorFunc(ctx, take, func(error) int { return 0 }); err != nil {
		t.Fatal(err)
	}
	return attributes
}

func collect(t *testing.T, from <-chan seen, packets int) []seen {
	t.Helper()
	var all []seen
	timeout := time.After(20 * time.Second)
	for len(all) < packets {
		select {
		case s := <-from:
			all = append(all, s)
		case <-timeout:
			t.Errorf("the reference saw %d packets, want %d", len(all), packets)
			return all
		}
	}
	return all
}
