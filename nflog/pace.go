package nflog

import "time"

const (
	// maxPause bounds how much later a packet is seen because of a pause. It is a
	// third of what the smallest receive buffer that pauses are made with lasts in
	// a flood of a million packets a second.
	maxPause = 20 * time.Millisecond
	minPause = time.Millisecond
	// perPause is how many datagrams a pause shall bring: to wake up costs as
	// much as some hundred packets, which that many share.
	perPause = 8
	// fullDatagram is how many bytes the kernel hands over because there are many
	// packets, and not because the flush timeout has ended or a rule's own
	// threshold is small. Small ones are charged like full ones to the receive
	// buffer, which would not last through a pause of many.
	fullDatagram = netlinkBuffer / 2
)

// pace decides how to wait for a socket: for the next datagram, or, while full
// ones come one after the other, for a while in which some gather.
type pace struct {
	last  time.Duration // the pause before what was received since, 0 for none
	reads int           // datagrams since
	full  int           // of these
}

// received notes a datagram of n bytes.
func (p *pace) received(n int) {
	p.reads++
	if n >= fullDatagram {
		p.full++
	}
}

// pause returns, of a socket that is empty now, how long to leave it alone; 0
// is until the next datagram.
func (p *pace) pause() time.Duration {
	reads, full := p.reads, p.full
	p.reads, p.full = 0, 0
	switch {
	case full == 0 || full < reads:
		p.last = 0
	case p.last == 0:
		p.last = maxPause
	default:
		p.last = min(maxPause, max(minPause, p.last*perPause/time.Duration(reads)))
	}
	return p.last
}
