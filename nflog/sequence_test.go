package nflog

import "testing"

func TestSequence(t *testing.T) {
	tests := []struct {
		name string
		seen []uint32
		lost uint64
	}{
		{"in order", []uint32{0, 1, 2}, 0},
		{"lost before the first", []uint32{3, 4}, 3},
		{"gaps", []uint32{0, 2, 5}, 3},
		{"wraps", []uint32{0, 1<<31 - 1, 1<<32 - 2, 1<<32 - 1, 0, 1}, 1<<31 - 2 + 1<<31 - 2},
		{"starts anew", []uint32{0, 1, 2, 0, 1}, 0},
	}
	for _, tt := range tests {
		var s sequence
		for _, n := range tt.seen {
			s.see(n)
		}
		if s.lost != tt.lost {
			t.Errorf("%s: %d lost, want %d", tt.name, s.lost, tt.lost)
		}
	}
}

// TestUntold has overruns and packets: each gap tells the size of one overrun.
func TestUntold(t *testing.T) {
	const overrun = -1
	tests := []struct {
		name   string
		seen   []int64
		untold int
	}{
		{"none", []int64{0, 1}, 0},
		{"nothing follows", []int64{0, overrun}, 1},
		{"what was in the socket follows", []int64{0, overrun, 1, 2}, 1},
		{"a gap follows", []int64{0, overrun, 1, 5}, 0},
		{"a gap without an overrun", []int64{0, 5, overrun}, 1},
		{"two gaps for two overruns", []int64{0, overrun, 5, overrun, 9}, 0},
		{"the second before the first's gap", []int64{0, overrun, overrun, 5, 6}, 1},
	}
	for _, tt := range tests {
		var s sequence
		for _, n := range tt.seen {
			if n == overrun {
				s.untold++
			} else {
				s.see(uint32(n))
			}
		}
		if got := s.giveUp(); got != tt.untold || s.untold != 0 {
			t.Errorf("%s: %d untold, want %d", tt.name, got, tt.untold)
		}
	}
}
