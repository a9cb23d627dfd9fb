package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// measurement is the cost of one reader in one round of a scenario.
type measurement struct {
	CPU        time.Duration `json:"cpuNanoseconds"`
	Offered    uint64        `json:"offered"` // what the rule logged
	Received   uint64        `json:"received"`
	Lost       uint64        `json:"lost"`           // of those offered
	Drops      uint64        `json:"socketDrops"`    // datagrams that did not fit into its socket
	Peak       uint64        `json:"peakKiB"`        // resident memory
	Took       time.Duration `json:"sentWithin"`     // nanoseconds
	ProcessCPU time.Duration `json:"processCPUTime"` // of its whole life, in nanoseconds
}

// perPacket returns the CPU time for a packet received, in microseconds.
func (m measurement) perPacket() float64 {
	return m.CPU.Seconds() * 1e6 / float64(max(m.Received, 1))
}

// with starts the reader, calls f when it has bound the group, and ends it. It returns
// the CPU time of the whole process.
func (l *lab) with(ctx context.Context, r reader, cpus *unix.CPUSet, f func(p *process, port uint32) error) (time.Duration, error) {
	if err := l.awaitFree(ctx); err != nil {
		return 0, err
	}
	p, err := start(l.node.Namespace, cpus, r.command)
	if err != nil {
		return 0, err
	}
	port, err := l.awaitBound(ctx, p)
	if err == nil {
		err = f(p, port)
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("%s: %w", r.name, err), p.kill())
	}
	return p.stop()
}

// measure runs one round.
func (l *lab) measure(ctx context.Context, r reader, s scenario, cpus *unix.CPUSet) (measurement, error) {
	var m measurement
	ran, err := l.with(ctx, r, cpus, func(p *process, port uint32) (err error) {
		before, err := l.offered()
		if err != nil {
			return err
		}
		if m.CPU, m.Took, err = l.cost(ctx, r, s, p); err != nil {
			return err
		}
		after, err := l.offered()
		if err != nil {
			return err
		}
		return m.count(ctx, l, r, p, port, after-before, uint64(s.warmUp().Packets))
	})
	m.ProcessCPU = ran
	// Both clocks are the kernel's. If they disagree, this program is wrong.
	if err == nil && ran < m.CPU-time.Millisecond {
		err = fmt.Errorf("%s: the process ran %v altogether, but %v of that while it was measured", r.name, ran, m.CPU)
	}
	return m, err
}

// cost sends some traffic to warm up, then the traffic itself, and returns the CPU time
// that the process used for it.
func (l *lab) cost(ctx context.Context, r reader, s scenario, p *process) (cpu, took time.Duration, err error) {
	if _, err := l.generator.send(s.warmUp()); err != nil {
		return 0, 0, err
	}
	before, err := p.awaitRest(ctx, r.rest)
	if err != nil {
		return 0, 0, err
	}
	if took, err = l.generator.send(s.traffic); err != nil {
		return 0, 0, err
	}
	after, err := p.awaitRest(ctx, r.rest)
	return after - before, took, err
}

// count fills in how many of the offered packets were received and lost. The packets of
// the warm-up are included: they come so slowly that every reader gets them.
func (m *measurement) count(ctx context.Context, l *lab, r reader, p *process, port uint32, offered, warmUp uint64) (err error) {
	if m.Peak, err = p.peak(); err != nil {
		return err
	}
	if m.Drops, err = l.drops(ctx, port); err != nil {
		return err
	}
	received, err := r.received(ctx, l, p, offered, m.Drops)
	if err != nil {
		return err
	}
	if received > offered || received < warmUp {
		return fmt.Errorf("%d packets received of %d", received, offered)
	}
	m.Offered, m.Received, m.Lost = offered-warmUp, received-warmUp, offered-received
	if (m.Lost > 0) != (m.Drops > 0) {
		return fmt.Errorf("%d packets lost, but the kernel dropped %d datagrams", m.Lost, m.Drops)
	}
	return nil
}

// idle returns the CPU time that kube-nflog uses in a span without traffic, after traffic.
func (l *lab) idle(ctx context.Context, r reader, span time.Duration, cpus *unix.CPUSet) (ran time.Duration, err error) {
	_, err = l.with(ctx, r, cpus, func(p *process, _ uint32) error {
		if _, err := l.generator.send(traffic{Flows: 1}.warmUp()); err != nil {
			return err
		}
		before, err := p.awaitRest(ctx, r.rest)
		if err != nil {
			return err
		}
		select { // the span is the thing to measure, so it waits for time
		case <-time.After(span):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		after, err := p.cpu()
		ran = after - before
		return err
	})
	return ran, err
}
