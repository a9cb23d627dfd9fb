package nflog

// sequence follows the kernel's numbers of a group's packets, which start at
// 0 when the group is bound and wrap at 32 bits.
type sequence struct {
	next uint32
	lost uint64
}

// see takes a packet's number in. A number behind the expected one cannot come
// from the kernel, which numbers and queues under one lock; it would count as a
// gap of nearly 2^32, so it is taken as a new start instead.
func (s *sequence) see(n uint32) {
	if gap := n - s.next; gap < 1<<31 {
		s.lost += uint64(gap)
	}
	s.next = n + 1
}
