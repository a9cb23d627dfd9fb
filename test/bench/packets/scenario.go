package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The scenarios' names.
const (
	slow        = "1000/s"
	fast        = "50000/s"
	flood       = "flood"
	fastFlows   = "50000/s-65536-flows"
	floodFlows  = "flood-65536-flows"
	fastRandom  = "50000/s-65536-flows-random"
	floodRandom = "flood-65536-flows-random"
)

// manyFlows is the default bound of kube-nflog's flow table.
const manyFlows = 65536

// scenario is one kind of traffic.
type scenario struct {
	Name string `json:"name"`
	traffic
	// readers are the readers that it measures; nil for all.
	readers []string
}

// measures reports whether the scenario measures the reader.
func (s scenario) measures(reader string) bool {
	return s.readers == nil || slices.Contains(s.readers, reader)
}

func scenarioNames() []string {
	return []string{slow, fast, flood, fastFlows, floodFlows, fastRandom, floodRandom}
}

// scenarios returns the scenarios with the given names, or all if no names are given.
// Paced scenarios last for the duration. Floods have the given number of packets.
func scenarios(names string, duration time.Duration, packets int) ([]scenario, error) {
	all := []scenario{
		{Name: slow, traffic: traffic{Rate: 1000, Flows: 1}},
		{Name: fast, traffic: traffic{Rate: 50_000, Flows: 1}},
		{Name: flood, traffic: traffic{Flows: 1}},
		{Name: fastFlows, traffic: traffic{Rate: 50_000, Flows: manyFlows}},
		{Name: floodFlows, traffic: traffic{Flows: manyFlows}},
		{Name: fastRandom, traffic: traffic{Rate: 50_000, Flows: manyFlows, Random: true}},
		{Name: floodRandom, traffic: traffic{Flows: manyFlows, Random: true}},
	}
	for i := range all {
		s := &all[i]
		s.Packets = packets
		if s.Rate > 0 {
			s.Packets = int(duration.Seconds() * float64(s.Rate))
		}
		if s.Flows > 1 {
			s.readers = []string{kubeNflog, floor} // the other readers know no flows
		}
	}
	return chosen(names, all, func(s scenario) string { return s.Name })
}

// chosen returns the values whose names are in a comma-separated list, or all values if
// the list is empty.
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

func (s scenario) String() string { return s.Name + ": " + s.traffic.String() }
