package dialect

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
)

const (
	// memory is how long a policy's record tells of later packets of its flow:
	// the rules log a few a minute, each at its own pace.
	memory = time.Minute
	// maxTraffic bounds the traffic that is remembered; what is forgotten costs
	// a reason, no count.
	maxTraffic = 4096
	// maxPolicies bounds the policies remembered of one flow.
	maxPolicies = 8
)

// Merger makes one flow of those that several rules logged of the same packets.
//
// k3s logs a packet at the end of each policy that does not allow it, and once
// more, without prefix, if none has. NetworkPolicies look at nothing that a
// flow's packets do not share. So the last of these flows is the one that
// counts; the others name its policies, or where there is no last one, were
// allowed after all.
type Merger struct {
	parser *Parser
	known  map[traffic]record // of the last maxTraffic/2 or more
	older  map[traffic]record
	noted  map[traffic]noted // policies' flows of the window at hand
	parsed map[string]*parsed
	last   *parsed // of parsed: most flows in a row come from one rule
	counts Counts
}

// maxPrefixes bounds the prefixes that are remembered; there are fewer.
const maxPrefixes = 4096

// parsed is what a prefix says, never changed.
type parsed struct {
	prefix string
	said   [1]Said
}

// Counts are packets of policies' flows: those that the pod's rule logged as
// well, and those that it did not.
type Counts struct {
	Duplicate, Unconfirmed uint64
}

// traffic is what the records of one packet agree on.
type traffic struct {
	source, destination netip.Addr
	protocol            decode.Protocol
	hook                decode.Hook
	port                uint16 // or ICMP type and code
	fragment            bool
}

// record is what policies' rules said of some traffic.
type record struct {
	policies []Said // never changed
	last     time.Time
}

type noted struct {
	packets   uint64
	confirmed bool
}

// NewMerger returns a Merger for the flows of one group, nil where the parser's
// dialect has no duplicates.
func NewMerger(p *Parser) *Merger {
	if p.dialect != Auto && p.dialect != K3s {
		return nil
	}
	return &Merger{parser: p, known: map[traffic]record{}, older: map[traffic]record{}, noted: map[traffic]noted{}, parsed: map[string]*parsed{}}
}

// Window is a batch of flows. Each flow is valid until the next.
type Window interface {
	Flows() iter.Seq[*flow.Flow]
	// With goes through those whose prefix is wanted.
	With(wanted func(prefix string) bool) iter.Seq[*flow.Flow]
}

// Merge returns a window's flows, each packet once, with the policies' records
// of it. A nil Merger returns them as they are. Each flow is valid until the
// next. Between two flows another window may be merged as a whole.
func (m *Merger) Merge(w Window) iter.Seq2[*flow.Flow, []Said] {
	return func(yield func(*flow.Flow, []Said) bool) {
		if m == nil {
			for f := range w.Flows() {
				if !yield(f, nil) {
					return
				}
			}
			return
		}
		if outer := m.noted; len(outer) > 0 { // of the window that this one comes between
			m.noted = map[traffic]noted{}
			defer func() { m.noted = outer }()
		}
		m.note(w.With(m.isProvisional))
		defer m.settle()
		for f := range w.Flows() {
			if said, keep := m.take(f); keep && !yield(f, said) {
				return
			}
		}
	}
}

// Unchanged says that Merge would return a window's flows as they are. It may say
// no where it would as well.
func (m *Merger) Unchanged(w Window) bool {
	if m == nil {
		return true
	}
	for range w.With(m.isProvisional) {
		return false
	}
	return len(m.known)+len(m.older) == 0
}

// isProvisional says whether a prefix is of a policy's record.
func (m *Merger) isProvisional(prefix string) bool {
	return prefix != "" && m.parse(prefix)[0].provisional
}

// Counts returns what became of policies' flows since it was called last.
func (m *Merger) Counts() Counts {
	if m == nil {
		return Counts{}
	}
	c := m.counts
	m.counts = Counts{}
	return c
}

// note remembers policies' flows.
func (m *Merger) note(flows iter.Seq[*flow.Flow]) {
	for f := range flows {
		if f.Overflow { // of many flows: nothing tells which
			m.counts.Unconfirmed += f.Packets
			continue
		}
		key := trafficOf(f)
		m.remember(key, m.parse(f.Prefix), f.LastSeen)
		m.noted[key] = noted{packets: m.noted[key].packets + f.Packets}
	}
}

// parse returns the one thing that a prefix says.
func (m *Merger) parse(prefix string) []Said {
	if m.last == nil || m.last.prefix != prefix {
		m.last = m.lookUp(prefix)
	}
	return m.last.said[:]
}

func (m *Merger) lookUp(prefix string) *parsed {
	p, ok := m.parsed[prefix]
	if !ok {
		if len(m.parsed) >= maxPrefixes {
			clear(m.parsed)
		}
		p = &parsed{prefix, [1]Said{m.parser.Parse(prefix)}}
		m.parsed[prefix] = p
	}
	return p
}

func (m *Merger) remember(key traffic, said []Said, last time.Time) {
	r := m.recall(key, last)
	switch {
	case len(r.policies) == 0:
		r.policies = said
	case !slices.Contains(r.policies, said[0]) && len(r.policies) < maxPolicies:
		r.policies = append(slices.Clone(r.policies), said[0])
	}
	if len(m.known) >= maxTraffic/2 {
		m.known, m.older = m.older, m.known
		clear(m.known)
	}
	m.known[key] = record{r.policies, last}
}

// recall returns what policies said of the traffic a memory's time around.
func (m *Merger) recall(key traffic, at time.Time) record {
	r, ok := m.known[key]
	if !ok {
		r = m.older[key]
	}
	if at.Sub(r.last).Abs() > memory {
		return record{}
	}
	return r
}

// take says whether a flow is to be kept, and what policies said of it.
func (m *Merger) take(f *flow.Flow) (said []Said, keep bool) {
	switch {
	case f.Prefix != "":
		return nil, !m.isProvisional(f.Prefix)
	case f.Overflow, len(m.known)+len(m.older) == 0:
		return nil, true
	}
	key := trafficOf(f)
	if n, ok := m.noted[key]; ok {
		m.noted[key] = noted{packets: n.packets, confirmed: true}
	}
	return m.recall(key, f.LastSeen).policies, true
}

// settle counts the policies' flows of the window.
func (m *Merger) settle() {
	for _, n := range m.noted {
		if n.confirmed {
			m.counts.Duplicate += n.packets
		} else {
			m.counts.Unconfirmed += n.packets
		}
	}
	clear(m.noted)
}

func trafficOf(f *flow.Flow) traffic {
	t := traffic{source: f.Source, destination: f.Destination, protocol: f.Protocol, hook: f.Hook, port: f.DestinationPort, fragment: f.Fragment}
	if f.HasICMP {
		t.port = uint16(f.ICMPType)<<8 | uint16(f.ICMPCode)
	}
	return t
}
