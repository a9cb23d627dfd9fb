package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The scenarios' names.
const (
	slow       = "1000/s"
	fast       = "50000/s"
	flood      = "flood"
	fastFlows  = "50000/s-65536-flows"
	floodFlows = "flood-65536-flows"
)

// manyFlows is the default bound of kube-nflog's flow table.
const manyFlows = 65536

// scenario is one kind of traffic.
type scenario struct {
	Name    string `json:"name"`
	Rate    int    `json:"rate"` // packets per second; 0 for as fast as one core can
	Flows   int    `json:"flows"`
	Packets int    `json:"packets"` // how many are sent
	// readers are those that are measured in it; nil for all.
	readers []string
}

// measures says whether a reader is measured in the scenario.
func (s scenario) measures(reader string) bool {
	return s.readers == nil || slices.Contains(s.readers, reader)
}

func scenarioNames() []string { return []string{slow, fast, flood, fastFlows, floodFlows} }

// scenarios returns those of the given names, all if there are none. Paced
// ones last as long as given, floods have that many packets.
func scenarios(names string, duration time.Duration, packets int) ([]scenario, error) {
	paced := func(name string, rate, flows int) scenario {
		return scenario{Name: name, Rate: rate, Flows: flows, Packets: int(duration.Seconds() * float64(rate))}
	}
	all := []scenario{
		paced(slow, 1000, 1), paced(fast, 50_000, 1), {Name: flood, Flows: 1, Packets: packets},
		paced(fastFlows, 50_000, manyFlows), {Name: floodFlows, Flows: manyFlows, Packets: packets},
	}
	for i := range all {
		if all[i].Flows > 1 {
			all[i].readers = []string{kubeNflog, floor} // the others know no flows
		}
	}
	return chosen(names, all, func(s scenario) string { return s.Name })
}

// chosen returns those of all whose names are in a list with commas, all of
// them if the list is empty.
func chosen[T any](names string, all []T, name func(T) string) ([]T, error) {
	if names == "" {
		return all, nil
	}
	wanted := strings.Split(names, ",")
	var found []T
	for _, t := range all {
		if i := slices.Index(wanted, name(t)); i >= 0 {
			found = append(found, t)
			wanted = slices.Delete(wanted, i, i+1)
		}
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("there is no %s", strings.Join(wanted, ", "))
	}
	return found, nil
}

func (s scenario) String() string {
	rate, flows := "as fast as one core can", "one flow"
	if s.Rate > 0 {
		rate = fmt.Sprintf("%d a second", s.Rate)
	}
	if s.Flows > 1 {
		flows = fmt.Sprintf("%d flows", s.Flows)
	}
	return fmt.Sprintf("%s: %d packets, %s, %s", s.Name, s.Packets, rate, flows)
}
