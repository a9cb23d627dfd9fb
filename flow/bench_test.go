package flow

import (
	"fmt"
	"testing"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
)

// BenchmarkFold offers drops of a number of distinct flows, windows and their
// consumption included, to a table of the default size.
func BenchmarkFold(b *testing.B) {
	for _, flows := range []int{1, 1000, 65_536, 1_000_000} {
		b.Run(fmt.Sprintf("flows=%d", flows), func(b *testing.B) {
			drops := make([]decode.Drop, flows)
			for i := range drops {
				drops[i] = drop("10.0.0.5", uint16(i), 0)
				drops[i].Source[13], drops[i].Source[12] = byte(i>>16), 10
			}
			table := NewTable(Config{})
			now := start
			var packets uint64
			b.ReportAllocs()
			offered, i := 0, 0
			for b.Loop() {
				table.Add(&drops[i])
				if i++; i == len(drops) {
					i = 0
				}
				if offered++; offered%500 == 0 { // a datagram's worth, at 500,000 packets a second
					now = now.Add(time.Millisecond)
					packets += consume(table, now)
				}
			}
			if packets > uint64(b.N) {
				b.Errorf("%d packets came out of %d", packets, b.N)
			}
		})
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
