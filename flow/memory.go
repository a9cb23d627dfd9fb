package flow

import "time"

// recentWindows is for how many windows after that of its last drop a flow still
// counts as known, and for how long, in windows.
const recentWindows = 10

// memory is what the table knows of flows beyond the window at hand: so a flow
// that goes on is found again, and not taken for a new one. There is room for a
// window's flows; when it is used up the memory begins anew and keeps the full
// records until they are full again, to be asked what the new do not know.
type memory struct {
	room    int
	records *records
	old     *records

	next    int    // the number of the record behind the one that was found last
	window  uint32 // the number of the current window, from 1
	renewed uint32 // the window in which records were begun, or looked at by end
	fresh   int    // how many of records were in that window or one since

	ended [recentWindows + 1]int64 // when the last windows did, by their numbers, in nanoseconds since 1970
}

func newMemory(room int) memory {
	return memory{room: room, records: newRecords(), old: newRecords(), window: 1, renewed: 1}
}

// guess returns the number of the record that the next drop most likely has if
// it is not of the last one's flow: flows that come again mostly do so in the
// order in which they came first. There must be a record.
func (m *memory) guess() int {
	if m.next >= m.records.n {
		m.next = 0
	}
	return m.next
}

// restore returns the number of the record with a key that records do not know,
// if old does, or none.
func (m *memory) restore(k *key, hash uint64) int {
	if m.old.n == 0 {
		return none
	}
	from := m.old.find(k, hash)
	if from == none {
		return none
	}
	return m.insert(*m.old.at(from))
}

// add adds a record for a key that is not known, and returns its number.
func (m *memory) add(k *key, hash uint64) int { return m.insert(record{key: *k, hash: hash}) }

// insert adds a record and returns its number. When there is no room the memory
// begins anew, with the flows of the current window, for which there is.
func (m *memory) insert(r record) int {
	if m.records.n >= m.room {
		m.old.reset()
		m.renew(m.old)
		for i := range m.old.n {
			if old := m.old.at(i); old.window == m.window {
				m.records.insert(old)
			}
		}
		m.fresh = m.records.n
	}
	return m.records.insert(&r)
}

func (m *memory) renew(with *records) {
	m.old, m.records = m.records, with
	m.next, m.renewed, m.fresh = 0, m.window, 0
}

// knows says whether a record's flow was seen lately, as of a time, in nanoseconds
// since 1970, with windows of a length.
func (m *memory) knows(r *record, at int64, window time.Duration) bool {
	return r.window > 0 && m.window-r.window <= recentWindows &&
		at-m.ended[r.window%uint32(len(m.ended))] <= recentWindows*int64(window)
}

// note notes that a record's flow has its first drop in the current window, and
// where its entry is there.
func (m *memory) note(r *record, entry int) {
	if r.window < m.renewed { // or else it is counted
		m.fresh++
	}
	r.window, r.entry = m.window, uint32(entry)
}

// end ends the current window, and gives up what is not recent, if it is much.
func (m *memory) end(now time.Time) {
	m.ended[m.window%uint32(len(m.ended))] = now.UnixNano()
	m.window++
	if m.window-m.renewed <= recentWindows {
		return
	}
	if m.records.n > chunkSize && m.fresh < m.records.n/2 {
		m.renew(newRecords())
		return
	}
	if m.old.n > 0 {
		m.old = newRecords()
	}
	m.renewed, m.fresh = m.window, 0
}
