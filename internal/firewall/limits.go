package firewall

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kube-nflog/kube-nflog/internal/printable"
)

const (
	// limitsEvery is the interval at which the agent checks whether rules have changed.
	// This costs one small message to the kernel, whatever the number of rules.
	limitsEvery = time.Second
	// limitsShare bounds the cost of reading the rules: after a read, the pause is at least
	// this many times as long as the read took.
	limitsShare = 50
	// legacyEvery is the interval at which tables of iptables-legacy are read even if they
	// seem unchanged. Only a change of their size can be seen without reading them.
	legacyEvery = time.Minute
	// noNFTFor is how long a kernel without nftables is not asked again.
	noNFTFor = time.Minute
	// maxLimits bounds the (group, prefix) pairs that are told apart. Beyond it, all flows
	// of the group count as limited. This is never wrong: it only makes an exact count a
	// lower bound.
	maxLimits = 4096
)

// Limits knows which rules that log to the NFLOG groups have a limit. It reads the kernel's
// rules outside of the packet path, and again when they change. It needs CAP_NET_ADMIN and
// no tool. Of may be called concurrently. A nil *Limits knows no limits.
type Limits struct {
	groups []uint16
	log    *slog.Logger
	known  atomic.Pointer[limits]
	ready  chan struct{} // closed after the first attempt to read
	failed bool
	// generation is nftGeneration. It is not called before noNFT, because the kernel has no
	// nftables.
	generation func() (uint32, error)
	noNFT      time.Time
}

// limits are the limits of the rules. They do not change after reading.
type limits struct {
	rates map[logged]string // "10/minute", "" if the rate is not known
	full  map[uint16]bool   // groups with more pairs than fit
}

// logged identifies the rule that logged a packet, as far as the packet tells.
type logged struct {
	group  uint16
	prefix string
}

// NewLimits returns Limits for the groups. Run fills them.
func NewLimits(groups []uint16, log *slog.Logger) *Limits {
	return &Limits{groups: groups, log: log, ready: make(chan struct{}), generation: nftGeneration}
}

// Of reports whether a rule with this group and prefix is known to have a limit, and its
// rate, "" if the rate is not known. It never waits. prefix has the form in which package
// decode returns it.
func (l *Limits) Of(group uint16, prefix string) (rate string, limited bool) {
	if l == nil {
		return "", false
	}
	known := l.known.Load()
	if known == nil {
		return "", false
	}
	rate, limited = known.rates[logged{group, prefix}]
	return rate, limited || known.full[group]
}

// Wait waits until the rules were read once, or could not be read, or ctx ends.
func (l *Limits) Wait(ctx context.Context) {
	if l == nil {
		return
	}
	select {
	case <-l.ready:
	case <-ctx.Done():
	}
}

// Run reads the rules, and again when they have changed, until ctx ends. A nil *Limits
// reads none.
func (l *Limits) Run(ctx context.Context) {
	if l == nil {
		return
	}
	tick := time.NewTicker(limitsEvery)
	defer tick.Stop()
	var last state
	var next, stale time.Time
	for first := true; ; first = false {
		now := time.Now()
		if current := l.state(now); first || !now.Before(next) && (current != last || current.legacy != "" && now.After(stale)) {
			l.read()
			took := time.Since(now)
			last, next, stale = current, now.Add(limitsShare*took), now.Add(legacyEvery)
			if first {
				close(l.ready)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// read reads all rules once. If some rules cannot be read, their known limits stay.
func (l *Limits) read() {
	c := &collector{
		groups: l.groups, found: limits{rates: map[logged]string{}, full: map[uint16]bool{}},
		jumps: map[string]string{}, unlimited: map[place]struct{}{},
	}
	err := collectNFT(c)
	if err == nil {
		err = collectLegacy(c)
	}
	if err != nil {
		if !l.failed {
			l.log.Warn("the limits of rules that log are not known: counts may be lower than what was dropped", "error", err)
		}
		l.failed = true
		return
	}
	l.failed = false
	c.finish()
	l.known.Store(&c.found)
}

// state identifies a version of the rules: the generation of nftables and the sizes of the
// tables of iptables-legacy.
type state struct {
	generation uint32
	legacy     string
}

// state returns the current state of the rules. A kernel without nftables is asked for it
// only once a minute, because it starts modprobe each time.
func (l *Limits) state(now time.Time) state {
	s := state{legacy: legacyState()}
	if now.Before(l.noNFT) {
		return s
	}
	var err error
	if s.generation, err = l.generation(); err != nil {
		l.noNFT = now.Add(noNFTFor)
	}
	return s
}

// collector collects the limits of rules, one rule at a time.
type collector struct {
	groups    []uint16
	found     limits
	jumps     map[string]string  // chains to which a rule with a limit jumps
	unlimited map[place]struct{} // rules that log without their own limit
}

// place is a rule that logs, in its chain.
type place struct {
	logged

	chain string
}

// rule holds what is needed of one rule.
type rule struct {
	chain   string // with its table and family
	limited bool
	rate    string
	logs    bool
	logged
	jump string // the chain that it jumps to, in the form of chain
}

// add collects a rule.
func (c *collector) add(r *rule) {
	switch {
	case r.jump != "" && r.limited && len(c.jumps) < maxLimits:
		c.jumps[r.jump] = r.rate
	case !r.logs || !slices.Contains(c.groups, r.group):
	case r.limited:
		c.limit(r.logged, r.rate)
	case len(c.unlimited) < maxLimits:
		c.unlimited[place{r.logged, r.chain}] = struct{}{}
	}
}

// finish adds the limits of rules that jump to a chain that logs.
func (c *collector) finish() {
	for p := range c.unlimited {
		if rate, ok := c.jumps[p.chain]; ok {
			c.limit(p.logged, rate)
		}
	}
}

func (c *collector) limit(of logged, rate string) {
	of.prefix = printable.Prefix(of.prefix)
	if old, ok := c.found.rates[of]; ok && old != rate {
		rate = "" // they differ
	} else if !ok && len(c.found.rates) >= maxLimits {
		c.found.full[of.group] = true
		return
	}
	c.found.rates[of] = rate
}

// limitRate returns a rate as a person writes it.
func limitRate(n uint64, seconds uint64) string {
	units := map[uint64]string{1: "second", 60: "minute", 3600: "hour", 86400: "day", 604800: "week"}
	if units[seconds] == "" {
		return ""
	}
	return fmt.Sprintf("%d/%s", n, units[seconds])
}
