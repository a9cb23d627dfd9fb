//go:build linux

package flow

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/internal/paired"
)

// stream adds drops of a number of flows to a table, in turn or at random.
type stream struct {
	table  *Table
	flows  []uint32 // by the drops' order
	at     int
	before func(*Table) // called before each Add; nil for nothing
	after  func(*Table) // called after each Add; nil for nothing
}

// streamChunk is how many drops a call of run adds.
const streamChunk = 4000

// newStream has added each flow in two windows when it returns.
func newStream(flows int, random bool) *stream {
	s := &stream{table: NewTable(Config{}), flows: make([]uint32, 1<<17)}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range s.flows {
		s.flows[i] = uint32(i % flows)
		if random {
			s.flows[i] = uint32(r.IntN(flows))
		}
	}
	for range 2 {
		for range len(s.flows)/streamChunk + 1 {
			s.run()
		}
		s.window()
	}
	for range len(s.flows)/streamChunk + 1 {
		s.run()
	}
	return s
}

func (s *stream) run() {
	d := drop("10.0.0.5", 80, 0)
	d.Prefix = "deny: "
	for range streamChunk {
		// Written as a whole word, as it is read.
		binary.BigEndian.PutUint64(d.Source[8:], 0xffff<<32|10<<24|uint64(s.flows[s.at]))
		s.at = (s.at + 1) % len(s.flows)
		if s.before != nil {
			s.before(s.table)
		}
		s.table.Add(&d)
		if s.after != nil {
			s.after(s.table)
		}
		if s.at%500 == 0 { // a datagram ends
			s.table.fold()
		}
	}
}

// window ends the window and consumes it.
func (s *stream) window() (packets uint64) {
	s.table.Export(start)
	s.table.Export(start.Add(time.Second))
	for {
		select {
		case w := <-s.table.Windows():
			for f := range w.Flows() {
				packets += f.Packets
			}
			w.Release()
		default:
			return packets
		}
	}
}

// BenchmarkShortcuts compares the table with one that lacks one of its shortcuts. The
// number of flows and their order decide what each saves.
func BenchmarkShortcuts(b *testing.B) {
	lookUp := func(t *Table) { t.last = nil }                   // neither the last flow nor the next one is tried
	noNext := func(t *Table) { t.cache.next = t.cache.young.n } // the first flow is tried instead
	oneByOne := func(t *Table) { t.fold() }
	noPrefix := func(t *Table) { t.lastPrefix = 0 } // the prefix is looked up in the map
	tests := []struct {
		name          string
		flows         int
		random        bool
		before, after func(*Table)
	}{
		{"last flow/flows=1", 1, false, lookUp, nil},
		{"next flow/flows=16", 16, false, noNext, nil},
		{"next flow/flows=65536", 1 << 16, false, noNext, nil},
		{"batch/flows=16", 16, true, nil, oneByOne},
		{"batch/flows=1000", 1000, true, nil, oneByOne},
		{"batch/flows=65536", 1 << 16, true, nil, oneByOne},
		{"last prefix/flows=1", 1, false, noPrefix, nil},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			with, without := newStream(tt.flows, tt.random), newStream(tt.flows, tt.random)
			without.before, without.after = tt.before, tt.after
			paired.Compare(b, streamChunk, with.run, without.run)
		})
	}
}

// BenchmarkFlowCache compares the first packets of flows in a window: of flows that the
// cache knows from the window before, and of flows that it has to add.
func BenchmarkFlowCache(b *testing.B) {
	const flows = streamChunk
	with, without := newStream(flows, false), newStream(flows, false)
	run := func(s *stream) func() {
		return func() {
			s.run()
			s.window()
		}
	}
	forget := func() {
		without.table.cache.young.reset()
		without.table.cache.old.reset()
		run(without)()
	}
	paired.Compare(b, streamChunk, run(with), forget)
}

// BenchmarkFold adds drops of a number of flows in turn and at random.
func BenchmarkFold(b *testing.B) {
	for _, flows := range []int{1, 1000, 1 << 16} {
		for _, random := range []bool{false, true} {
			b.Run(fmt.Sprintf("flows=%d/random=%v", flows, random), func(b *testing.B) {
				s := newStream(flows, random)
				b.ReportAllocs()
				for b.Loop() {
					s.run()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(streamChunk*b.N), "ns/packet")
			})
		}
	}
}
