package flow

import "github.com/kube-nflog/kube-nflog/decode"

// overflowRoom is how many overflow flows a window may have beyond MaxFlows and the
// reserve.
const overflowRoom = 1024

// insertOverflow returns the most specific overflow entry that there is room for: one
// with the local side's address, one for the rule, or one for the group and the IP
// version alone. The last two of these (IPv4 and IPv6) always have room.
func (t *Table) insertOverflow(k *key) *entry {
	t.overflowed++
	room := t.cfg.MaxFlows + t.reserved + overflowRoom - t.current.n
	if e := t.overflowEntry(t.overflowOfPod(k), room > overflowRoom/2); e != nil {
		return e
	}
	if e := t.overflowEntry(overflowOfRule(k), room > 0); e != nil {
		return e
	}
	return t.overflowEntry(key{packed: k.packed.groupAndFamily() | overflow.pack()}, true)
}

// overflowOfPod keeps the address of a flow's local side.
func (t *Table) overflowOfPod(k *key) key {
	o := overflowOfRule(k)
	switch source, destination := t.localSides(k); {
	case destination:
		o.destination, o.packed = k.destination, o.packed|hasDestination.pack()
	case source:
		o.source, o.packed = k.source, o.packed|hasSource.pack()
	}
	return o
}

func overflowOfRule(k *key) key { return key{packed: k.packed.rule() | overflow.pack()} }

// overflowEntry returns the entry with the key. If there is none, it adds one, or returns
// nil if it may not.
func (t *Table) overflowEntry(k key, mayInsert bool) *entry {
	hash := k.hash(&t.seed)
	number := t.cache.young.find(&k, hash)
	if number != none {
		if e := t.inWindow(t.cache.young.at(number)); e != nil {
			return e
		}
	}
	if !mayInsert {
		return nil
	}
	if number == none {
		number = t.cache.add(&k, hash)
	}
	return t.enter(t.cache.young.at(number))
}

// localSides reports which end of a flow is on this node. Most flows of a flood have one
// end in common, so the last local address is remembered until the window ends.
func (t *Table) localSides(k *key) (source, destination bool) {
	hook := k.packed.hook()
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
