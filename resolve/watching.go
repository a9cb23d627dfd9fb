package resolve

// watching tells the owners how the watch of pods goes.
type watching struct{ r *Resolver }

func (w watching) listing() {
	now := w.r.now()
	w.r.owners.note(func(c *contact) { c.listing(now) })
}

func (w watching) listed() {
	w.r.owners.note((*contact).listed)
	w.r.prober.want()
}

func (w watching) opened() {
	w.r.owners.note((*contact).opened)
	w.r.prober.want() // deletions that come now are only certain once it is proven
}

func (w watching) closed() { w.r.owners.note((*contact).closed) }

func (w watching) heard() {
	now := w.r.now()
	w.r.owners.note(func(c *contact) { c.heard(now) })
}

func (w watching) marked() {
	now := w.r.now()
	w.r.owners.note(func(c *contact) { c.marked(now) })
}

// note changes what is known of the watch.
func (o *owners) note(change func(*contact)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.contact)
}

// probing returns which watch a probe is about to prove; ok is false if there
// is none.
func (o *owners) probing() (stream uint64, ok bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.contact.probing()
}

// probed notes an answer to a probe, and reports whether it proves something.
func (o *owners) probed(stream uint64, sent int64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.contact.probed(stream, sent)
}

// isStale reports whether changes of pods from before the time at may be missing.
func (o *owners) isStale(at int64) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.contact.isStale(at)
}

// unanswered notes that a probe was not answered.
func (o *owners) unanswered(stream uint64) {
	o.note(func(c *contact) { c.unanswered(stream) })
}

// stepped forgets what the wall clock's step made useless: the ended claims,
// whose times are of another clock. Live claims go on; what is live has begun.
func (o *owners) stepped(now, since, by int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.contact.step(now, since, by)
	o.ended, o.lost, o.rumours = queue[ended]{}, never, newRumours()
	begun := func(p *pod) { p.from = min(p.from, now) }
	for addr, claims := range o.more {
		kept := claims[:0]
		for _, c := range claims {
			switch c.until {
			case forever:
				begun(c.pod)
				kept = append(kept, c)
			case givenBack:
				begun(c.pod)
				c.sure = never
				kept = append(kept, c)
			}
		}
		clear(claims[len(kept):])
		if o.more[addr] = kept; len(kept) == 0 {
			delete(o.more, addr)
		}
	}
	for _, p := range o.live.four {
		begun(p)
	}
	for _, p := range o.live.six {
		begun(p)
	}
}
