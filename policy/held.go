package policy

// held is a policy with when it changed last, as far as that is known. What it
// repeats of the Record lies together for all policies of a namespace: going
// through a thousand, most of the time is spent on fetching memory.
type held struct {
	*Record
	changed  int64 // Unix seconds
	isolates [2]bool
	about    [2]digest
	// podBits are its pod selector's. labels are the hashes of those that a pod
	// must have to be selected, all there is to that selector if simple.
	podBits uint64
	labels  [maxInline]uint64
	count   int
	simple  bool
}

// maxInline is how many labels most selectors name at most.
const maxInline = 2

func hold(r *Record, changed int64) held {
	h := held{Record: r, changed: changed, isolates: r.isolates, about: r.digests(), podBits: r.pods.bits}
	h.simple = !r.pods.nothing && len(r.pods.requirements) <= maxInline
	for i := range r.pods.requirements {
		one := &r.pods.requirements[i]
		if h.simple = h.simple && one.isLabel(); !h.simple {
			return h
		}
		h.labels[i] = one.hash
		h.count++
	}
	return h
}

// selects says whether the policy is about a pod.
func (h *held) selects(pod *labelling) bool {
	switch {
	case h.podBits&^pod.bits != 0:
		return false
	case !h.simple:
		return h.pods.matches(pod)
	}
	for _, label := range h.labels[:h.count] {
		if !pod.has(label) {
			return false
		}
	}
	return true
}
