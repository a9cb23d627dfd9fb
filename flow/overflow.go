package flow

import "github.com/kube-nflog/kube-nflog/decode"

// overflowRoom is how many overflow flows a window may have beside MaxFlows.
const overflowRoom = 1024

// insertOverflow returns the finest overflow entry that there is room for: one
// for the local side's address, for the rule, or at last for the IP version
// alone; those two always find room.
func (t *Table) insertOverflow(k *key) *entry {
	t.overflow++
	room := t.cfg.MaxFlows + t.reserved + overflowRoom - t.current.n
	if e := t.overflowEntry(t.byLocalSide(k), room > overflowRoom/2); e != nil {
		return e
	}
	if e := t.overflowEntry(byRule(k), room > 0); e != nil {
		return e
	}
	return t.overflowEntry(key{rest: k.rest&(0xffff<<groupShift|1<<ipv6Shift) | overflow.rest()}, true)
}

// byLocalSide keeps the address of a flow's end on this node.
func (t *Table) byLocalSide(k *key) key {
	o := byRule(k)
	switch source, destination := t.localSides(k); {
	case destination:
		o.destination, o.rest = k.destination, o.rest|hasDestination.rest()
	case source:
		o.source, o.rest = k.source, o.rest|hasSource.rest()
	}
	return o
}

func byRule(k *key) key { return key{rest: k.rest.rule() | overflow.rest()} }

// overflowEntry returns the entry with the key, a new one if that may be made.
func (t *Table) overflowEntry(k key, mayInsert bool) *entry {
	hash := k.hash(&t.seed)
	record := t.memory.records.find(&k, hash)
	if record != none {
		if e := t.inWindow(t.memory.records.at(record)); e != nil {
			return e
		}
	}
	if !mayInsert {
		return nil
	}
	if record == none {
		record = t.memory.add(&k, hash)
	}
	return t.enter(t.memory.records.at(record))
}

// localSides tells which end of a flow is this node's. A flood mostly has one
// end in common, so the last local one is remembered until the window ends.
func (t *Table) localSides(k *key) (source, destination bool) {
	hook := k.rest.hook()
	if t.cfg.Local == nil {
		return hook == decode.HookOutput, hook == decode.HookInput
	}
	switch {
	case t.haveLocal && k.destination == t.lastLocal:
		return false, true
	case t.haveLocal && k.source == t.lastLocal:
		return true, false
	case t.cfg.Local(k.destinationAddr()):
		t.lastLocal, t.haveLocal = k.destination, true
		return false, true
	case t.cfg.Local(k.sourceAddr()):
		t.lastLocal, t.haveLocal = k.source, true
		return true, false
	}
	return hook == decode.HookOutput, hook == decode.HookInput
}
