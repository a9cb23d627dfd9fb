package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// plan says what to measure.
type plan struct {
	rounds    int
	scenarios []scenario
	readers   []reader
	skipped   []string // what is left out, and why
	idle      time.Duration
}

func newPlan(o *options) (plan, error) {
	p := plan{rounds: o.rounds, idle: o.idle}
	var err error
	if p.scenarios, err = scenarios(o.scenarios, o.duration, o.flood); err != nil {
		return plan{}, fmt.Errorf("-scenario: %w", err)
	}
	if p.readers, p.skipped, err = readers(o); err != nil {
		return plan{}, fmt.Errorf("-readers: %w", err)
	}
	return p, nil
}

// bench measures in a lab.
type bench struct {
	lab        *lab
	readerCPUs *unix.CPUSet // nil for any
	progress   io.Writer
}

// run measures all readers in all scenarios in each round, so that changes of the
// machine over time affect all readers in the same way.
func (b *bench) run(ctx context.Context, p plan) (*report, error) {
	r, err := newReport(ctx, p, b)
	if err != nil {
		return nil, err
	}
	for round := range p.rounds {
		for _, s := range p.scenarios {
			for i := range p.readers {
				// Each round starts with a different reader.
				reader := p.readers[(i+round)%len(p.readers)]
				if !s.measures(reader.name) {
					continue
				}
				m, err := b.lab.measure(ctx, reader, s, b.readerCPUs)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", s.Name, err)
				}
				fmt.Fprintf(b.progress, "round %d of %d  %-26s  %-27s %6.2f µs/packet, %d lost\n",
					round+1, p.rounds, s.Name, reader.name, m.perPacket(), m.Lost)
				r.add(s, reader.name, m)
			}
		}
	}
	i := slices.IndexFunc(p.readers, func(r reader) bool { return r.name == kubeNflog })
	if i >= 0 && p.idle > 0 {
		ran, err := b.lab.idle(ctx, p.readers[i], p.idle, b.readerCPUs)
		if err != nil {
			return nil, err
		}
		r.addIdle(p.idle, ran)
	}
	return r, r.finish()
}
