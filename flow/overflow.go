package flow

import "github.com/kube-nflog/kube-nflog/decode"

// overflowRoom is how many overflow flows a window may have beside MaxFlows.
const overflowRoom = 1024

// insertOverflow returns the finest overflow entry that there is room for: one
// for the local side's address, for the rule, or at last for the IP version
// alone; those two always find room.
func (t *Table) insertOverflow(d *decode.Drop, k *key) *entry {
	t.overflow++
	room := t.cfg.MaxFlows + overflowRoom - t.current.n
	if e := t.overflowEntry(t.byLocalSide(d, k), room > overflowRoom/2); e != nil {
		return e
	}
	if e := t.overflowEntry(byRule(d, k), room > 0); e != nil {
		return e
	}
	bare := rest(d.Group)<<groupShift | k.rest&(1<<ipv6Shift) | overflow.rest()
	return t.overflowEntry(key{rest: bare}, true)
}

// byLocalSide keeps the address of a drop's end on this node.
func (t *Table) byLocalSide(d *decode.Drop, k *key) key {
	o := byRule(d, k)
	switch source, destination := t.localSides(d); {
	case destination:
		o.destination, o.rest = k.destination, o.rest|hasDestination.rest()
	case source:
		o.source, o.rest = k.source, o.rest|hasSource.rest()
	}
	return o
}

func byRule(d *decode.Drop, k *key) key {
	return key{rest: ruleOf(d, k.rest.prefix()) | overflow.rest()}
}

// overflowEntry returns the entry with the key, a new one if that may be made.
func (t *Table) overflowEntry(k key, mayInsert bool) *entry {
	hash := k.hash(&t.seed)
	e, slot := t.current.find(&k, hash)
	if e == nil && mayInsert {
		return t.current.insert(&k, hash, slot, &t.seed)
	}
	return e
}

// localSides tells which end of a drop is this node's. A flood mostly has one
// end in common, so the last local one is remembered until the window ends.
func (t *Table) localSides(d *decode.Drop) (source, destination bool) {
	if t.cfg.Local == nil {
		return d.Hook == decode.HookOutput, d.Hook == decode.HookInput
	}
	switch {
	case t.haveLocal && d.Destination == t.lastLocal:
		return false, true
	case t.haveLocal && d.Source == t.lastLocal:
		return true, false
	case t.cfg.Local(d.DestinationAddr()):
		t.lastLocal, t.haveLocal = d.Destination, true
		return false, true
	case t.cfg.Local(d.SourceAddr()):
		t.lastLocal, t.haveLocal = d.Source, true
		return true, false
	}
	return d.Hook == decode.HookOutput, d.Hook == decode.HookInput
}
