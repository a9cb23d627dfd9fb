package flow

import "github.com/kube-nflog/kube-nflog/decode"

// overflowRoom is how many overflow flows a window may have beside MaxFlows.
const overflowRoom = 1024

// insertOverflow returns the finest overflow entry that there is room for. The
// coarsest, one for each IP version, always find room.
func (t *Table) insertOverflow(d *decode.Drop, full key) *entry {
	t.overflow++
	room := t.cfg.MaxFlows + overflowRoom - len(t.current.entries)
	if e := t.overflowEntry(full.overflowByAddress(t.localSides(d)), room > overflowRoom/2); e != nil {
		return e
	}
	if e := t.overflowEntry(full.overflowByRule(), room > 0); e != nil {
		return e
	}
	return t.overflowEntry(full.overflowByFamily(), true)
}

// overflowEntry returns the entry with the key, a new one if that may be made.
func (t *Table) overflowEntry(k key, mayInsert bool) *entry {
	hash := k.hash(t.seed)
	e, slot := t.current.find(&k, hash)
	if e == nil && mayInsert {
		return t.current.insert(&k, hash, slot, t.seed)
	}
	return e
}

// localSides tells which address of a drop is this node's side.
func (t *Table) localSides(d *decode.Drop) (source, destination bool) {
	if t.cfg.Local != nil {
		source, destination = t.cfg.Local(d.SourceAddr()), t.cfg.Local(d.DestinationAddr())
	}
	if !source && !destination {
		source, destination = d.Hook == decode.HookOutput, d.Hook == decode.HookInput
	}
	return source, destination
}
