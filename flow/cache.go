package flow

import "time"

// recentWindows is for how many windows after that of its last drop a flow still counts
// as recent, and for how long, in windows.
const recentWindows = 10

// flowCache remembers flows beyond the current window. So the table finds a flow that
// goes on again, and does not take it for a new one.
//
// It has two generations of records. There is room for the flows of a window. When the
// young generation is full, it becomes the old one, and a new one starts with the flows
// of the current window. A flow that the young generation misses is looked up in the old
// one and promoted.
type flowCache struct {
	room  int // for records of a generation
	young *records
	old   *records

	next    int    // the number of the record behind the one that was found last
	window  uint32 // the number of the current window, from 1
	started uint32 // the window in which the young generation started, or was last found fresh enough
	fresh   int    // how many records of the young generation had a drop since that window began

	ended [recentWindows + 1]int64 // when the last windows ended, by their numbers, in nanoseconds since 1970
}

func newFlowCache(room int) flowCache {
	return flowCache{room: room, young: newRecords(), old: newRecords(), window: 1, started: 1}
}

// nextNumber returns the number of the record that the next drop most likely has, if it
// is not of the last drop's flow. Flows that come again mostly come in the order in which
// they came first. There must be a record.
func (c *flowCache) nextNumber() int {
	if c.next >= c.young.n {
		c.next = 0
	}
	return c.next
}

// promote copies the record with a key from the old generation to the young one, and
// returns its number there, or none if the old generation has no such record.
func (c *flowCache) promote(k *key, hash uint64) int {
	if c.old.n == 0 {
		return none
	}
	from := c.old.find(k, hash)
	if from == none {
		return none
	}
	return c.insert(*c.old.at(from))
}

// add adds a record for a key that neither generation has, and returns its number.
func (c *flowCache) add(k *key, hash uint64) int { return c.insert(record{key: *k, hash: hash}) }

// insert adds a record and returns its number. If there is no room, it starts a new
// generation with the flows of the current window, for which there is room.
func (c *flowCache) insert(r record) int {
	if c.young.n >= c.room {
		c.old.reset()
		c.start(c.old)
		for i := range c.old.n {
			if old := c.old.at(i); old.window == c.window {
				c.young.insert(old)
			}
		}
		c.fresh = c.young.n
	}
	return c.young.insert(&r)
}

// start starts a new generation in empty records.
func (c *flowCache) start(empty *records) {
	c.old, c.young = c.young, empty
	c.next, c.started, c.fresh = 0, c.window, 0
}

// isRecent reports whether a record's flow was seen lately, as of a time in nanoseconds
// since 1970, with windows of the given length.
func (c *flowCache) isRecent(r *record, at int64, window time.Duration) bool {
	return r.window > 0 && c.window-r.window <= recentWindows &&
		at-c.ended[r.window%uint32(len(c.ended))] <= recentWindows*int64(window)
}

// enter records that a flow has its first drop in the current window, and the number of
// its entry there.
func (c *flowCache) enter(r *record, entry int) {
	if r.window < c.started { // otherwise it is counted already
		c.fresh++
	}
	r.window, r.entry = c.window, uint32(entry)
}

// endWindow ends the current window. Every ten windows it evicts stale records, if they
// are the majority.
func (c *flowCache) endWindow(now time.Time) {
	c.ended[c.window%uint32(len(c.ended))] = now.UnixNano()
	c.window++
	if c.window-c.started <= recentWindows {
		return
	}
	if c.young.n > chunkSize && c.fresh < c.young.n/2 {
		c.start(newRecords())
		return
	}
	if c.old.n > 0 {
		c.old = newRecords()
	}
	c.started, c.fresh = c.window, 0
}
