package nflog

import "time"

const (
	// maxPause bounds how much later a packet is read because of a pause. In a flood
	// of a million packets a second, the smallest receive buffer that pauses are used
	// with (see largeBuffer) lasts three times as long.
	maxPause = 20 * time.Millisecond
	minPause = time.Millisecond
	// perPause is how many datagrams a pause should gather. To wake up costs as much
	// as some hundred packets; so many datagrams share that cost.
	perPause = 8
	// fullDatagram tells datagrams that the kernel sent because they were full from
	// those that it sent because the flush timeout ended or a rule has a small
	// threshold of its own. The kernel charges a small datagram to the receive buffer
	// like a full one, so that a pause with many of them could overrun it.
	fullDatagram = netlinkBuffer / 2
)

// coalescer decides how to wait for the socket once it is empty. Usually the
// Reader waits for the next datagram. While only full datagrams come, it pauses for
// a fixed time instead, so that several gather and one wake-up serves them all.
type coalescer struct {
	last  time.Duration // the pause before these datagrams, 0 for none
	reads int           // datagrams since the last call of pause
	full  int           // those of them that were full
}

// received records a datagram of n bytes.
func (c *coalescer) received(n int) {
	c.reads++
	if n >= fullDatagram {
		c.full++
	}
}

// pause returns how long to leave the socket alone; 0 means until the next
// datagram.
func (c *coalescer) pause() time.Duration {
	reads, full := c.reads, c.full
	c.reads, c.full = 0, 0
	switch {
	case full == 0 || full < reads:
		c.last = 0
	case c.last == 0:
		c.last = maxPause
	default:
		c.last = min(maxPause, max(minPause, c.last*perPause/time.Duration(reads)))
	}
	return c.last
}
