package watch

import (
	"net/netip"
	"slices"
	"strings"
)

// Filter chooses flows. What is empty chooses all.
type Filter struct {
	Protocols []string       // by name, in any case
	Ports     []uint16       // destination ports
	Nets      []netip.Prefix // one end is in one of them
	Prefixes  []string       // what the NFLOG prefix starts with
}

func (f *Filter) wants(l *line) bool {
	return f.wantsProtocol(l) && f.wantsPort(l) && f.wantsNet(l) && f.wantsPrefix(l)
}

func (f *Filter) wantsProtocol(l *line) bool {
	return len(f.Protocols) == 0 ||
		slices.ContainsFunc(f.Protocols, func(p string) bool { return strings.EqualFold(p, l.Protocol) })
}

func (f *Filter) wantsPort(l *line) bool {
	return len(f.Ports) == 0 || l.Destination.Port != nil && slices.Contains(f.Ports, *l.Destination.Port)
}

func (f *Filter) wantsNet(l *line) bool {
	return len(f.Nets) == 0 || slices.ContainsFunc(f.Nets, func(n netip.Prefix) bool {
		return n.Contains(l.Source.IP) || n.Contains(l.Destination.IP)
	})
}

func (f *Filter) wantsPrefix(l *line) bool {
	return len(f.Prefixes) == 0 || slices.ContainsFunc(f.Prefixes, func(p string) bool { return strings.HasPrefix(l.Prefix, p) })
}
