package flow

// owner is who a flow is charged to: the pod of this node that sends it, or else
// the one that receives it. Flows without such a pod share one owner. Owners keep
// one pod's flood of new flows from delaying and displacing those of another.
type owner struct {
	first, last int32 // its early flows: entries of the current window, linked by entry.next
	next        int32 // the next owner that has early flows
	reserved    int32 // entries that it has of the reserve
}

const (
	// nobody ends a chain of entries or of owners.
	nobody = -1
	// shared is the owner of flows without a local pod, and of those of the pods
	// beyond maxOwners.
	shared    = 0
	maxOwners = 1024
)

// The reserve is room for flows beyond Config.MaxFlows: a quarter as many again,
// of which each owner has one part in 256, 64 flows by default.
const (
	reservePart = 4
	sharePart   = 256
)

// owners are those of a window's flows, and the queue of early flows: the first
// of each owner, then the second of each, and so on.
type owners struct {
	all         []owner
	of          map[address]int32
	first, last int32 // owners that have early flows, linked by owner.next
}

func newOwners() owners {
	o := owners{of: make(map[address]int32)}
	o.reset()
	return o
}

// reset forgets all but the shared owner.
func (o *owners) reset() {
	o.all = append(o.all[:0], owner{first: nobody, last: nobody, next: nobody})
	clear(o.of)
	o.first, o.last = nobody, nobody
}

// at returns the owner with an address.
func (o *owners) at(a address) int32 {
	at, ok := o.of[a]
	if !ok {
		if len(o.all) == maxOwners {
			return shared
		}
		at = int32(len(o.all))
		o.all = append(o.all, owner{first: nobody, last: nobody, next: nobody})
		o.of[a] = at
	}
	return at
}

// any reports whether there are early flows.
func (o *owners) any() bool { return o.first != nobody }

// push queues an early flow, the number of whose entry is given.
func (o *owners) push(entries *list[entry], number, of int32) {
	entries.at(int(number)).next = nobody
	w := &o.all[of]
	if w.first == nobody {
		w.first = number
		o.wait(of)
	} else {
		entries.at(int(w.last)).next = number
	}
	w.last = number
}

// pop takes the next early flow out of the queue.
func (o *owners) pop(entries *list[entry]) *entry {
	of := o.first
	w := &o.all[of]
	o.first = w.next
	if o.first == nobody {
		o.last = nobody
	}
	e := entries.at(int(w.first))
	w.first = e.next
	if w.first != nobody {
		o.wait(of)
	}
	return e
}

// wait puts an owner at the end of those that have early flows.
func (o *owners) wait(of int32) {
	o.all[of].next = nobody
	if o.last == nobody {
		o.first = of
	} else {
		o.all[o.last].next = of
	}
	o.last = of
}

// owner returns a flow's owner. It asks once or twice whether an address is local.
func (t *Table) owner(k *key) int32 {
	switch {
	case t.cfg.Local == nil:
		return shared
	case t.cfg.Local(k.sourceAddr()):
		return t.owners.at(k.source)
	case t.cfg.Local(k.destinationAddr()):
		return t.owners.at(k.destination)
	}
	return shared
}

// reserve returns how many flows a window may hold beyond MaxFlows.
func (c *Config) reserve() int { return c.MaxFlows / reservePart }

// takeReserve reports whether a flow may have an entry although the window holds
// MaxFlows: its owner has not used up its share of the reserve.
func (t *Table) takeReserve(k *key) bool {
	reserve := t.cfg.reserve()
	share := int32(reserve / sharePart)
	if share == 0 || t.reserved >= reserve {
		return false
	}
	of := t.owner(k)
	if of == shared || t.owners.all[of].reserved >= share {
		return false
	}
	t.owners.all[of].reserved++
	t.reserved++
	return true
}
