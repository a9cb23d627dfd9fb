package resolve

import (
	"fmt"
	"net/netip"
	"time"
)

// isPlain reports whether only one pod had the address, from long before to long after.
func (c *churn) isPlain(q question, uid string) bool {
	told := c.toldAt(uid, q.addr)
	return told != 0 && told+int64(unclear) <= q.first &&
		c.covers(uid, q.addr, q.first) && c.covers(uid, q.addr, q.last) &&
		len(c.near(q.addr, q.first)) == 1 && len(c.near(q.addr, q.last)) == 1
}

// endsUnsure reports whether the watch was silent for long before it reported the end of an
// owner, so that the time of the end is not known.
func (c *churn) endsUnsure(q question) bool {
	for _, m := range c.history.more[q.addr] {
		if m.certainUntil != m.possibleUntil && q.last >= m.certainUntil-int64(skew) && q.first <= m.possibleUntil+int64(skew) {
			return true
		}
	}
	return false
}

// isWrong reports whether uid did not have the address at a time, while another pod had it,
// or nobody had it for long.
func (c *churn) isWrong(uid string, addr netip.Addr, at int64) bool {
	truth := c.ownerAt(addr, at)
	return truth != uid && (truth != "" || !c.hadNear(uid, addr, at, unclear))
}

func (c *churn) ownerAt(addr netip.Addr, at int64) string {
	for _, o := range c.truth[addr] {
		if o.from <= at && at < o.to {
			return o.uid
		}
	}
	return ""
}

// toldAt returns when the status of a pod had the address, 0 if not yet.
func (c *churn) toldAt(uid string, addr netip.Addr) int64 {
	for _, o := range c.truth[addr] {
		if o.uid == uid {
			return o.told
		}
	}
	return 0
}

// near returns who had addr within unclear of at.
func (c *churn) near(addr netip.Addr, at int64) []string {
	var all []string
	for _, o := range c.truth[addr] {
		if o.from-int64(unclear) <= at && at <= o.to+int64(unclear) {
			all = append(all, fmt.Sprintf("%s[%v,%v]", o.uid, sinceNoon(o.from), sinceNoon(min(o.to, c.now))))
		}
	}
	return all
}

func (c *churn) hadNear(uid string, addr netip.Addr, at int64, d time.Duration) bool {
	for _, o := range c.truth[addr] {
		if o.uid == uid && o.from-int64(d) <= at && at <= o.to+int64(d) {
			return true
		}
	}
	return false
}

// covers reports whether uid had the address long before and long after.
func (c *churn) covers(uid string, addr netip.Addr, at int64) bool {
	for _, o := range c.truth[addr] {
		if o.uid == uid && o.from+int64(unclear) <= at && at <= o.to-int64(unclear) {
			return true
		}
	}
	return false
}

// inGap reports whether the watch was broken or silent near a flow's time.
func (c *churn) inGap(q question) bool {
	for _, b := range c.truth[netip.Addr{}] {
		if b.from-int64(unclear) <= q.last && q.first <= b.to+int64(unclear) {
			return true
		}
	}
	return c.deaf.from != 0 && q.last >= c.deaf.from-int64(unclear)
}
