package watch

import (
	"net/netip"
	"slices"
	"strings"
)

// Filter selects flows. An empty field selects all.
type Filter struct {
	Protocols []string       // by name, in upper or lower case
	Ports     []uint16       // destination ports
	Nets      []netip.Prefix // one end is in one of them
	Prefixes  []string       // beginnings of the NFLOG prefix

	Namespaces []string // namespaces of an end
	Pods       []string // pods at one end, by "name" or "namespace/name"
	Policies   []string // policies that denied the flow, by "name" or "namespace/name"
	Reasons    []string // parts of the reason, in upper or lower case
}

func (f *Filter) wants(l *line) bool {
	return f.wantsProtocol(l) && f.wantsPort(l) && f.wantsNet(l) && f.wantsPrefix(l) &&
		f.wantsNamespace(l) && f.wantsPod(l) && f.wantsPolicy(l) && f.wantsReason(l)
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

func (f *Filter) wantsNamespace(l *line) bool {
	return len(f.Namespaces) == 0 || slices.ContainsFunc(f.Namespaces, func(n string) bool {
		return n == l.Source.Namespace || n == l.Destination.Namespace
	})
}

func (f *Filter) wantsPod(l *line) bool {
	return len(f.Pods) == 0 || l.Source.isPod(f.Pods) || l.Destination.isPod(f.Pods)
}

func (e *end) isPod(names []string) bool {
	return e.Kind == "Pod" && slices.ContainsFunc(names, func(n string) bool { return named(n, e.Namespace+"/"+e.Name) })
}

func (f *Filter) wantsPolicy(l *line) bool {
	return len(f.Policies) == 0 || slices.ContainsFunc(l.Policies, func(policy string) bool {
		return slices.ContainsFunc(f.Policies, func(n string) bool { return named(n, policy) })
	})
}

// named reports whether name is full, or the part of full after the namespace.
func named(name, full string) bool { return name == full || strings.HasSuffix(full, "/"+name) }

func (f *Filter) wantsReason(l *line) bool {
	return len(f.Reasons) == 0 || slices.ContainsFunc(f.Reasons, func(r string) bool {
		return strings.Contains(strings.ToLower(l.Reason), strings.ToLower(r))
	})
}
