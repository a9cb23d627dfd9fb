package nflog

// sequence follows the kernel's numbers of a group's packets, which start at
// 0 when the group is bound and wrap at 32 bits.
type sequence struct {
	next uint32
	lost uint64
	// untold are overruns whose lost packets no gap in the numbers has told yet.
	// The kernel lets nothing into a socket that has overrun until it is empty, so
	// that the packets of one overrun are one gap.
	untold int
}

// see takes a packet's number in. A number behind the expected one cannot come
// from the kernel, which numbers and queues under one lock; it would count as a
// gap of nearly 2^32, so it is taken as a new start instead.
func (s *sequence) see(n uint32) {
	if gap := n - s.next; gap != 0 && gap < 1<<31 {
		s.lost += uint64(gap)
		s.untold = max(0, s.untold-1)
	}
	s.next = n + 1
}

// giveUp returns how many overruns are untold, and forgets them.
func (s *sequence) giveUp() (untold int) {
	untold, s.untold = s.untold, 0
	return untold
}
