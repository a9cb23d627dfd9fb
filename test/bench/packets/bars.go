package main

import (
	"fmt"
	"time"
)

// bar is a limit that kube-nflog must keep.
type bar struct {
	What  string  `json:"what"`
	Limit float64 `json:"limit"` // 0 with None
	// None reports that there is no limit: the figure is only for information.
	None bool   `json:"none"`
	Unit string `json:"unit"`
	// Measured is valid iff Known: a run may leave scenarios out.
	Measured float64 `json:"measured"`
	Known    bool    `json:"known"`
	Met      bool    `json:"met"`
}

func (b bar) String() string {
	switch {
	case b.None && b.Known:
		return fmt.Sprintf("no bar        %s = %.3g%s", b.What, b.Measured, b.Unit)
	case b.None:
		return "not measured  " + b.What
	case !b.Known:
		return fmt.Sprintf("not measured  %s ≤ %.4g%s", b.What, b.Limit, b.Unit)
	}
	verdict := "NOT MET"
	if b.Met {
		verdict = "met"
	}
	return fmt.Sprintf("%-12s  %s = %.3g%s, bar ≤ %.4g%s", verdict, b.What, b.Measured, b.Unit, b.Limit, b.Unit)
}

func newBar(what string, limit float64, unit string, measured float64, known bool) bar {
	return bar{What: what, Limit: limit, Unit: unit, Measured: measured, Known: known, Met: known && measured <= limit}
}

// cells returns the result of a reader in a scenario, nil if it was not measured.
type cells func(scenario, reader string) *result

// ratio is a bar on kube-nflog's cost divided by another reader's.
func (c cells) ratio(scenario, other string, limit float64) bar {
	a, b := c(scenario, kubeNflog), c(scenario, other)
	what := fmt.Sprintf("%s: CPU per packet in that of %s", scenario, other)
	if a == nil || b == nil {
		return newBar(what, limit, "", 0, false)
	}
	return newBar(what, limit, "", a.Median/b.Median, true)
}

// flows are the bars on the cost of many flows compared with one.
func (c cells) flows(many, one string) []bar { return []bar{c.timesOne(many, one), c.memory(many)} }

// timesOne is the bar on the cost of many flows divided by that of one.
func (c cells) timesOne(many, one string) bar {
	cost := many + ": CPU per packet in that with one flow"
	a, b := c(many, kubeNflog), c(one, kubeNflog)
	if a == nil || b == nil {
		return newBar(cost, 1.5, "", 0, false)
	}
	return newBar(cost, 1.5, "", a.Median/b.Median, true)
}

func (c cells) memory(scenario string) bar {
	what := scenario + ": peak memory"
	r := c(scenario, kubeNflog)
	if r == nil {
		return newBar(what, 48, " MiB", 0, false)
	}
	return newBar(what, 48, " MiB", float64(r.Peak)/1024, true)
}

// withoutBar makes a figure only information. With flows in random order, most of the
// cost is waiting for memory, which one flow does not need. At rest, most of the cost
// is Go's garbage collection.
func withoutBar(b bar) bar {
	b.None, b.Limit, b.Met = true, 0, false
	return b
}

// bars returns all bars. idle is the CPU time that kube-nflog used at rest, in span.
func bars(c cells, idle, span time.Duration) []bar {
	all := []bar{
		c.ratio(fast, floor, 1.6),
		c.ratio(fast, newPacket, 1.0/7),
		c.ratio(fast, logemu, 1.0/6),
		c.ratio(fast, jsonLines, 1.0/25),
		c.ratio(fast, pcap, 1),
		c.ratio(flood, floor, 1.6),
		c.lost(flood),
	}
	all = append(all, c.flows(fastFlows, fast)...)
	all = append(all, c.flows(floodFlows, flood)...)
	all = append(all,
		withoutBar(c.timesOne(fastRandom, fast)), c.memory(fastRandom),
		withoutBar(c.timesOne(floodRandom, flood)), c.memory(floodRandom))
	perMinute := 0.0
	if span > 0 {
		perMinute = float64(idle) / float64(time.Millisecond) * float64(time.Minute) / float64(span)
	}
	return append(all, withoutBar(newBar("idle: CPU time", 1, " ms a minute", perMinute, span > 0)))
}

// lost is the bar on lost packets: no round may lose any.
func (c cells) lost(scenario string) bar {
	what := scenario + ": packets lost in the worst round"
	r := c(scenario, kubeNflog)
	if r == nil {
		return newBar(what, 0, "", 0, false)
	}
	return newBar(what, 0, "", float64(r.MostLost), true)
}
