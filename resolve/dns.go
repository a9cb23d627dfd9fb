package resolve

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const (
	nameGood   = 10 * time.Minute
	noNameGood = 5 * time.Minute
	errorGood  = 30 * time.Second
	maxName    = 253 // bytes, the longest a DNS name can be written
)

// newNames makes the lookupCache of reverse DNS names.
func newNames(cfg *Config, m *metrics, now func() int64) *lookupCache[string] {
	a := &lookupCache[string]{
		timeout: cfg.DNSTimeout,
		limiter: rate.NewLimiter(rate.Limit(cfg.DNSQPS), cfg.DNSBurst),
		refused: m.dns.WithLabelValues("refused").Inc,
		now:     now,
	}
	a.ask = func(ctx context.Context, addr netip.Addr) (string, time.Duration) {
		name, good, result := reverse(ctx, cfg.DNS, addr)
		m.dns.WithLabelValues(result).Inc()
		return name, good
	}
	a.init()
	return a
}

// reverse asks for the name of addr. It returns the name, "" for none, for how long it is
// valid, and the result for the metric.
func reverse(ctx context.Context, dns *net.Resolver, addr netip.Addr) (name string, good time.Duration, result string) {
	names, err := dns.LookupAddr(ctx, addr.String())
	// Go's resolver returns the well-formed names together with an error about the
	// others.
	if len(names) > 0 {
		slices.Sort(names) // servers rotate them
		return cleanName(names[0]), nameGood, "found"
	}
	var failure *net.DNSError
	if err == nil || errors.As(err, &failure) && failure.IsNotFound {
		return "", noNameGood, "none"
	}
	return "", errorGood, "error"
}

// cleanName makes a name from DNS safe for terminals, events and labels. The owner of an
// address chooses its name, so every character that host names do not have becomes "?".
func cleanName(name string) string {
	name = strings.TrimSuffix(cut(name, maxName), ".")
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return c
		}
		return '?'
	}, name)
}

// hasName reports whether DNS can have a name for addr. Loopback and link-local addresses
// exist on every host, and groups have no name.
func hasName(addr netip.Addr) bool {
	return addr.IsGlobalUnicast() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
