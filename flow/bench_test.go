package flow

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkFold offers drops of a number of distinct flows, in turn or in any
// order, windows and their consumption included, to a table of the default size.
func BenchmarkFold(b *testing.B) {
	for _, flows := range []int{1, 1000, 65_536, 1_000_000} {
		b.Run(fmt.Sprintf("flows=%d/order=turn", flows), func(b *testing.B) {
			benchmarkFold(b, func(before int) int { return (before + 1) % flows })
		})
		b.Run(fmt.Sprintf("flows=%d/order=random", flows), func(b *testing.B) {
			random := rand.New(rand.NewPCG(1, 2))
			benchmarkFold(b, func(int) int { return int(random.Uint64()>>32) * flows >> 32 })
		})
	}
}

func benchmarkFold(b *testing.B, next func(before int) int) {
	table, d := NewTable(Config{}), drop("10.0.0.5", 80, 0)
	now := start
	var packets uint64
	b.ReportAllocs()
	offered, flow := 0, 0
	for b.Loop() {
		flow = next(flow)
		// Written whole, as it is read.
		binary.BigEndian.PutUint64(d.Source[8:], 0xffff<<32|10<<24|uint64(flow))
		if offered == 0 {
			table.Add(&d)
		} else {
			table.AddAlike(&d)
		}
		if offered++; offered%500 == 0 { // a datagram's worth, at 500,000 packets a second
			now = now.Add(time.Millisecond)
			packets += consume(table, now)
		}
	}
	if packets > uint64(b.N) {
		b.Errorf("%d packets came out of %d", packets, b.N)
	}
}

func consume(table *Table, now time.Time) (packets uint64) {
	table.HandOn(now)
	select {
	case w := <-table.Windows():
		for f := range w.Flows() {
			packets += f.Packets
		}
		w.Release()
	default:
	}
	return packets
}
