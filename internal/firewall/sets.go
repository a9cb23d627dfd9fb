package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// sets holds the contents of tables' sets and maps. It reads each table once.
type sets struct {
	conn *nftables.Conn
	read map[string]tableSets // by table
}

// tableSets are the sets and maps of one table, by name.
type tableSets struct {
	// anonymous holds the contents of sets without a meaningful name: { 53, 54 } has
	// another name in each rule.
	anonymous map[string]string
	maps      map[string]verdictMap
}

// of reads a table's sets. A set that cannot be read is left out: it may have been deleted
// with its rule since the rule was listed.
func (s *sets) of(t *nftables.Table) tableSets {
	table := family(t.Family) + " " + t.Name
	if known, ok := s.read[table]; ok {
		return known
	}
	found := tableSets{map[string]string{}, map[string]verdictMap{}}
	all, _ := s.conn.GetSets(t)
	for _, set := range all {
		// nftables v0.3.0 puts the type of a map's data into the field for the type of its
		// keys.
		verdicts := set.IsMap && (set.KeyType.Name == nftables.TypeVerdict.Name || set.DataType.Name == nftables.TypeVerdict.Name)
		if !set.Anonymous && !verdicts {
			continue
		}
		elements, err := s.conn.GetSetElements(set)
		if err != nil {
			continue
		}
		if set.Anonymous {
			found.anonymous[set.Name] = contents(elements)
		}
		if verdicts {
			found.maps[set.Name] = newVerdictMap(set.Interval, elements)
		}
	}
	s.read[table] = found
	return found
}

// contents returns a text for the elements. Equal elements give the same text.
func contents(elements []nftables.SetElement) string {
	var texts []string
	for i := range elements {
		e := &elements[i]
		texts = append(texts, fmt.Sprintf("%x-%x %t", e.Key, e.KeyEnd, e.IntervalEnd))
	}
	slices.Sort(texts) // the kernel returns them in any order
	return strings.Join(texts, ",")
}

func newVerdictMap(interval bool, elements []nftables.SetElement) verdictMap {
	m := verdictMap{interval: interval}
	for i := range elements {
		if e, ok := newVerdictElement(elements[i].Key, elements[i].Val); ok {
			m.elements = append(m.elements, e)
		}
	}
	slices.SortFunc(m.elements, func(a, b verdictElement) int { return slices.Compare(a.key, b.key) })
	return m
}
