package dialect

import (
	"fmt"
	"iter"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/decode"
	"github.com/kube-nflog/kube-nflog/flow"
)

func noon() time.Time { return time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC) }

// logged returns a flow to a port with a prefix, some seconds after noon.
func logged(prefix string, port uint16, packets uint64, second int) flow.Flow {
	at := noon().Add(time.Duration(second) * time.Second)
	return flow.Flow{
		Group: 100, Prefix: prefix, Hook: decode.HookForward, Family: decode.IPv4, Protocol: decode.TCP,
		Source: netip.MustParseAddr("10.0.0.5"), Destination: netip.MustParseAddr("10.0.1.7"),
		HasPorts: true, SourcePort: 40000, DestinationPort: port, FirstSeen: at, LastSeen: at, Packets: packets,
	}
}

// kept is the short form of a flow that a Merger keeps.
type kept struct {
	Prefix   string
	Port     uint16
	Packets  uint64
	Policies []string
}

func through(m *Merger, flows ...flow.Flow) []kept {
	var all []kept
	for f, infos := range m.Merge(each(flows)) {
		k := kept{Prefix: f.Prefix, Port: f.DestinationPort, Packets: f.Packets}
		for _, s := range infos {
			k.Policies = append(k.Policies, s.Policy)
		}
		all = append(all, k)
	}
	return all
}

// asTheyAre returns flows as a Merger returns them if it keeps all and knows nothing about
// them.
func asTheyAre(flows []flow.Flow) []kept {
	var all []kept
	for i := range flows {
		all = append(all, kept{Prefix: flows[i].Prefix, Port: flows[i].DestinationPort, Packets: flows[i].Packets})
	}
	return all
}

// TestUnchanged checks that windows are unchanged until the first record of a policy, and
// not afterwards.
func TestUnchanged(t *testing.T) {
	m := newMerger(t, Auto)
	plain := []flow.Flow{logged("mine", 80, 3, 0), logged("", 80, 3, 0)}
	for _, w := range []struct {
		flows []flow.Flow
		want  bool
	}{{plain, true}, {plain, true}, {[]flow.Flow{logged(byA, 80, 1, 0)}, false}, {plain, false}} {
		if got := m.Unchanged(each(w.flows)); got != w.want {
			t.Errorf("%+v unchanged: %v", w.flows, got)
		}
		through(m, w.flows...)
	}
	if !(*Merger)(nil).Unchanged(each(plain)) {
		t.Error("nobody changes them")
	}
}

// each is a Window that returns each flow in the same variable.
func each(flows []flow.Flow) window {
	return func(yield func(*flow.Flow) bool) {
		var f flow.Flow
		for _, f = range flows {
			if !yield(&f) {
				return
			}
		}
	}
}

type window iter.Seq[*flow.Flow]

func (w window) Flows() iter.Seq[*flow.Flow] { return iter.Seq[*flow.Flow](w) }

func (w window) With(wanted func(string) bool) iter.Seq[*flow.Flow] {
	return func(yield func(*flow.Flow) bool) {
		for f := range w {
			if wanted(f.Prefix) && !yield(f) {
				return
			}
		}
	}
}

func newMerger(t *testing.T, d Dialect) *Merger {
	t.Helper()
	p, err := NewParser(d, "")
	if err != nil {
		t.Fatal(err)
	}
	return NewMerger(p)
}

const (
	byA = "DROP by policy shop/a"
	byB = "DROP by policy shop/b"
)

// TestWindow merges windows of flows. Each packet must be kept or counted.
func TestWindow(t *testing.T) {
	overflow := logged(byA, 0, 7, 0)
	overflow.Overflow = true
	ping := logged(byA, 0, 1, 0)
	ping.Protocol, ping.HasPorts, ping.HasICMP, ping.ICMPType = decode.ICMP, false, true, 8
	pong, pinged := ping, ping
	pong.Prefix, pong.ICMPType, pinged.Prefix = "", 0, ""
	tests := []struct {
		name    string
		dialect Dialect
		windows [][]flow.Flow
		want    []kept
		counts  Counts
	}{
		{"denied by two policies", K3s, [][]flow.Flow{{logged(byA, 80, 3, 0), logged(byB, 80, 3, 0), logged("", 80, 3, 0)}},
			[]kept{{"", 80, 3, []string{"shop/a", "shop/b"}}}, Counts{Duplicate: 6}},
		{"found out by itself", Auto, [][]flow.Flow{{logged(byA, 80, 3, 0), logged("", 80, 3, 0)}},
			[]kept{{"", 80, 3, []string{"shop/a"}}}, Counts{Duplicate: 3}},
		{"denied by one, allowed by another", K3s, [][]flow.Flow{{logged(byA, 80, 3, 0)}}, nil, Counts{Unconfirmed: 3}},
		{"two flows", K3s, [][]flow.Flow{{logged(byA, 80, 3, 0), logged(byB, 81, 1, 0), logged("", 80, 3, 0), logged("", 81, 1, 0)}},
			[]kept{{"", 80, 3, []string{"shop/a"}}, {"", 81, 1, []string{"shop/b"}}}, Counts{Duplicate: 4}},
		{"of two flows one is allowed", K3s, [][]flow.Flow{{logged(byA, 80, 3, 0), logged(byA, 81, 1, 0), logged("", 80, 3, 0)}},
			[]kept{{"", 80, 3, []string{"shop/a"}}}, Counts{Duplicate: 3, Unconfirmed: 1}},
		{"the pod's rule logs on while the policy's is at its limit", K3s, [][]flow.Flow{
			{logged(byA, 80, 3, 0), logged("", 80, 3, 0)}, {logged("", 80, 2, 59)}},
			[]kept{{"", 80, 3, []string{"shop/a"}}, {"", 80, 2, []string{"shop/a"}}}, Counts{Duplicate: 3}},
		{"long after", K3s, [][]flow.Flow{{logged(byA, 80, 3, 0), logged("", 80, 3, 0)}, {logged("", 80, 2, 61)}},
			[]kept{{"", 80, 3, []string{"shop/a"}}, {"", 80, 2, nil}}, Counts{Duplicate: 3}},
		{"a window's border between the two records", K3s, [][]flow.Flow{{logged(byA, 80, 3, 0)}, {logged("", 80, 3, 0)}},
			[]kept{{"", 80, 3, []string{"shop/a"}}}, Counts{Unconfirmed: 3}},
		{"other prefixes", Auto, [][]flow.Flow{{logged("mine", 80, 3, 0), logged(byA, 80, 1, 0), logged("DPI0|gnp/x", 81, 2, 0)}},
			[]kept{{"mine", 80, 3, nil}, {"DPI0|gnp/x", 81, 2, nil}}, Counts{Unconfirmed: 1}},
		{"ICMP by its type", K3s, [][]flow.Flow{{ping, pong, pinged}},
			[]kept{{"", 0, 1, nil}, {"", 0, 1, []string{"shop/a"}}}, Counts{Duplicate: 1}},
		{"an overflow of policies' records", K3s, [][]flow.Flow{{overflow, logged("", 80, 1, 0)}},
			[]kept{{"", 80, 1, nil}}, Counts{Unconfirmed: 7}},
		{"plain", Plain, [][]flow.Flow{{logged(byA, 80, 3, 0), logged("", 80, 3, 0)}},
			[]kept{{byA, 80, 3, nil}, {"", 80, 3, nil}}, Counts{}},
		{"Calico", Calico, [][]flow.Flow{{logged(byA, 80, 3, 0)}}, []kept{{byA, 80, 3, nil}}, Counts{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := newMerger(t, tt.dialect)
			var got []kept
			var sent, told uint64
			for _, w := range tt.windows {
				unchanged := m.Unchanged(each(w))
				merged := through(m, w...)
				if diff := cmp.Diff(asTheyAre(w), merged); unchanged && diff != "" {
					t.Errorf("they would be unchanged: -want +got:\n%s", diff)
				}
				got = append(got, merged...)
				for i := range w {
					sent += w[i].Packets
				}
			}
			counts := m.Counts()
			if diff := cmp.Diff(tt.want, got) + cmp.Diff(tt.counts, counts); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, k := range got {
				told += k.Packets
			}
			if told += counts.Duplicate + counts.Unconfirmed; told != sent {
				t.Errorf("%d packets are kept or counted, %d came", told, sent)
			}
			if m.Counts() != (Counts{}) {
				t.Error("packets are counted twice")
			}
		})
	}
}

// TestWindowBetween merges a window between two flows of another window. Each must count
// its own packets.
func TestWindowBetween(t *testing.T) {
	m := newMerger(t, K3s)
	outer := []flow.Flow{logged("", 80, 3, 0), logged(byA, 81, 5, 0), logged(byA, 80, 3, 0), logged("", 81, 5, 0)}
	between := true
	for range m.Merge(each(outer)) {
		if between {
			between = false
			through(m, logged(byA, 82, 7, 0), logged("", 82, 7, 0), logged(byA, 83, 11, 0))
		}
	}
	if got, want := m.Counts(), (Counts{Duplicate: 3 + 5 + 7, Unconfirmed: 11}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// TestMemoryIsBounded checks the bound on remembered traffic.
func TestMemoryIsBounded(t *testing.T) {
	m := newMerger(t, K3s)
	var many window = func(yield func(*flow.Flow) bool) {
		for i := range 20_000 {
			f := logged(byA, uint16(i), 1, 0)
			for policy := range 2 * maxPolicies {
				f.Prefix = fmt.Sprintf("DROP by policy shop/p-%d", policy)
				if !yield(&f) {
					return
				}
			}
		}
	}
	for range m.Merge(many) {
		t.Fatal("an unconfirmed flow is kept")
	}
	if n := len(m.known) + len(m.older); n > maxTraffic {
		t.Errorf("%d flows are remembered, want at most %d", n, maxTraffic)
	}
	for _, r := range m.known {
		if len(r.policies) > maxPolicies {
			t.Fatalf("%d policies of one flow are remembered", len(r.policies))
		}
	}
	if len(m.noted) != 0 {
		t.Errorf("%d flows of the last window are left", len(m.noted))
	}
}

// TestStopEarly checks that the counts are right although the consumer stops early.
func TestStopEarly(t *testing.T) {
	m := newMerger(t, K3s)
	for range m.Merge(each([]flow.Flow{logged(byA, 80, 3, 0), logged("", 80, 3, 0), logged("", 81, 1, 0)})) {
		break
	}
	if got := m.Counts(); got != (Counts{Duplicate: 3}) {
		t.Errorf("%+v", got)
	}
}
