package firewall

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// sets tells what the anonymous sets of tables hold, by their names, which say
// nothing: { 53, 54 } has another in each rule.
type sets struct {
	conn *nftables.Conn
	read map[string]map[string]string // by table
}

// of reads a table's sets once. What cannot be read goes by its name: the set
// may have gone with its rule since the rule was listed.
func (s *sets) of(t *nftables.Table) map[string]string {
	table := family(t.Family) + " " + t.Name
	if known, ok := s.read[table]; ok {
		return known
	}
	contents := map[string]string{}
	all, _ := s.conn.GetSets(t)
	for _, set := range all {
		if !set.Anonymous {
			continue
		}
		elements, err := s.conn.GetSetElements(set)
		if err != nil {
			continue
		}
		var texts []string
		for i := range elements {
			e := &elements[i]
			texts = append(texts, fmt.Sprintf("%x-%x %t", e.Key, e.KeyEnd, e.IntervalEnd))
		}
		slices.Sort(texts) // the kernel gives them in any order
		contents[set.Name] = strings.Join(texts, ",")
	}
	s.read[table] = contents
	return contents
}
