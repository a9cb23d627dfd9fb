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
	// memory is how long a policy's record applies to later packets of its flow. The rules
	// log only a few packets a minute, each at its own rate.
	memory = time.Minute
	// maxTraffic bounds the remembered traffic. If a record is forgotten, a reason is
	// missing, but all counts stay right.
	maxTraffic = 4096
	// maxPolicies bounds the remembered policies of one flow.
	maxPolicies = 8
)

// Merger makes one flow from the flows that several rules logged for the same packets.
//
// k3s logs a packet at the end of each policy that does not allow it. If no policy allows
// it, the pod's rule logs it again, without a prefix. NetworkPolicies look only at fields
// that all packets of a flow share. So only the flow of the pod's rule counts, and the
// other flows name its policies. If the pod's rule logged nothing, a policy allowed the
// packets.
type Merger struct {
	parser *Parser
	known  map[traffic]loggedPolicies // the newest records, at most maxTraffic/2
	older  map[traffic]loggedPolicies
	noted  map[traffic]noted // flows of policies' rules in the current window
	parsed map[string]*parsed
	last   *parsed // the last used one of parsed, because most flows in a row come from one rule
	counts Counts
}

// maxPrefixes bounds the remembered prefixes. Package decode returns fewer.
const maxPrefixes = 4096

// parsed is a parsed prefix. It never changes.
type parsed struct {
	prefix string
	infos  [1]PrefixInfo
}

// Counts counts the packets of flows that policies' rules logged: those that the pod's rule
// logged too, and the others.
type Counts struct {
	Duplicate, Unconfirmed uint64
}

// traffic holds the fields that the records of one packet have in common.
type traffic struct {
	source, destination netip.Addr
	protocol            decode.Protocol
	hook                decode.Hook
	port                uint16 // or ICMP type and code
	fragment            bool
}

// loggedPolicies are the policies whose rules logged some traffic.
type loggedPolicies struct {
	policies []PrefixInfo // never changed
	last     time.Time
}

type noted struct {
	packets   uint64
	confirmed bool
}

// NewMerger returns a Merger for the flows of one group. It returns nil if the parser's
// dialect has no duplicates.
func NewMerger(p *Parser) *Merger {
	if p.dialect != Auto && p.dialect != K3s {
		return nil
	}
	return &Merger{parser: p, known: map[traffic]loggedPolicies{}, older: map[traffic]loggedPolicies{}, noted: map[traffic]noted{}, parsed: map[string]*parsed{}}
}

// Window is a batch of flows. Each flow is valid until the next.
type Window interface {
	Flows() iter.Seq[*flow.Flow]
	// With iterates over the flows whose prefix is wanted.
	With(wanted func(prefix string) bool) iter.Seq[*flow.Flow]
}

// Merge returns a window's flows, each packet once, with what policies' rules said about
// it. A nil Merger returns the flows unchanged. Each flow is valid until the next one.
// Between two flows another window may be merged as a whole.
func (m *Merger) Merge(w Window) iter.Seq2[*flow.Flow, []PrefixInfo] {
	return func(yield func(*flow.Flow, []PrefixInfo) bool) {
		if m == nil {
			for f := range w.Flows() {
				if !yield(f, nil) {
					return
				}
			}
			return
		}
		if outer := m.noted; len(outer) > 0 { // of the window that this one interrupts
			m.noted = map[traffic]noted{}
			defer func() { m.noted = outer }()
		}
		m.note(w.With(m.isProvisional))
		defer m.settle()
		for f := range w.Flows() {
			if infos, keep := m.take(f); keep && !yield(f, infos) {
				return
			}
		}
	}
}

// Unchanged reports whether Merge would return a window's flows unchanged. It may return
// false although Merge would.
func (m *Merger) Unchanged(w Window) bool {
	if m == nil {
		return true
	}
	for range w.With(m.isProvisional) {
		return false
	}
	return len(m.known)+len(m.older) == 0
}

// isProvisional reports whether a prefix belongs to a policy's rule.
func (m *Merger) isProvisional(prefix string) bool {
	return prefix != "" && m.parse(prefix)[0].provisional
}

// Counts returns the counts since the last call.
func (m *Merger) Counts() Counts {
	if m == nil {
		return Counts{}
	}
	c := m.counts
	m.counts = Counts{}
	return c
}

// note remembers the flows of policies' rules.
func (m *Merger) note(flows iter.Seq[*flow.Flow]) {
	for f := range flows {
		if f.Overflow { // it stands for many flows, so it tells nothing about one
			m.counts.Unconfirmed += f.Packets
			continue
		}
		key := trafficOf(f)
		m.remember(key, m.parse(f.Prefix), f.LastSeen)
		m.noted[key] = noted{packets: m.noted[key].packets + f.Packets}
	}
}

// parse returns what a prefix says.
func (m *Merger) parse(prefix string) []PrefixInfo {
	if m.last == nil || m.last.prefix != prefix {
		m.last = m.lookUp(prefix)
	}
	return m.last.infos[:]
}

func (m *Merger) lookUp(prefix string) *parsed {
	p, ok := m.parsed[prefix]
	if !ok {
		if len(m.parsed) >= maxPrefixes {
			clear(m.parsed)
		}
		p = &parsed{prefix, [1]PrefixInfo{m.parser.Parse(prefix)}}
		m.parsed[prefix] = p
	}
	return p
}

func (m *Merger) remember(key traffic, infos []PrefixInfo, last time.Time) {
	r := m.recall(key, last)
	switch {
	case len(r.policies) == 0:
		r.policies = infos
	case !slices.Contains(r.policies, infos[0]) && len(r.policies) < maxPolicies:
		r.policies = append(slices.Clone(r.policies), infos[0])
	}
	if len(m.known) >= maxTraffic/2 {
		m.known, m.older = m.older, m.known
		clear(m.known)
	}
	m.known[key] = loggedPolicies{r.policies, last}
}

// recall returns what policies' rules said about the traffic within the time memory.
func (m *Merger) recall(key traffic, at time.Time) loggedPolicies {
	r, ok := m.known[key]
	if !ok {
		r = m.older[key]
	}
	if at.Sub(r.last).Abs() > memory {
		return loggedPolicies{}
	}
	return r
}

// take reports whether a flow is kept, and returns what policies' rules said about it.
func (m *Merger) take(f *flow.Flow) (infos []PrefixInfo, keep bool) {
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

// settle counts the packets of the policies' flows of the window.
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
