package explain

import (
	"strings"

	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// reader is a reader of reasons: the platform, or the owners of one namespace, who may
// learn only the names of other namespaces.
type reader struct {
	platform  bool
	namespace string
}

// knows reports whether the reader may know the objects in a namespace.
func (r reader) knows(namespace string) bool { return r.platform || namespace == r.namespace }

// knowsRule reports whether the reader may know what a rule's prefix names.
func (r reader) knowsRule(prefix string, info *dialect.PrefixInfo) bool {
	if r.platform {
		return true
	}
	if owner := owner(info); owner != "" {
		return owner == r.namespace
	}
	// A prefix with a slash may name something in a namespace, which the dialect cannot
	// parse.
	return info.Policy != "" || !strings.Contains(prefix, "/")
}

// owner returns the namespace of what a prefix names. It is "" if that has no namespace, or
// if the prefix does not tell.
func owner(info *dialect.PrefixInfo) string {
	if namespace, _, ok := strings.Cut(info.Policy, "/"); ok {
		return namespace
	}
	// Felix names its profiles kns.NAMESPACE and ksa.NAMESPACE.SERVICEACCOUNT.
	kind, rest, _ := strings.Cut(info.Policy, ".")
	if kind == "kns" || kind == "ksa" {
		namespace, _, _ := strings.Cut(rest, ".")
		return namespace
	}
	return ""
}

// nodeEvents is the namespace of events about nodes.
const nodeEvents = "default"

// tell returns a flow's reason, with the texts for all its readers.
func (e *Explainer) tell(f *flow.Flow, infos []dialect.PrefixInfo, a *policy.Answer, source, destination *resolve.Endpoint) policy.Reason {
	platform := reader{platform: true}
	t := e.reasonFor(platform, f.Prefix, infos, a)
	if !e.cfg.NamespaceOnly {
		return t
	}
	view := func(namespace string) policy.View {
		r := reader{namespace: namespace}
		own := e.cfg.Rules.Parse(f.Prefix)
		return policy.View{Text: e.reasonFor(r, f.Prefix, infos, a).Text, HidePrefix: !r.knowsRule(f.Prefix, &own)}
	}
	t.Source, t.Destination, t.Node = view(source.Namespace), view(destination.Namespace), view(nodeEvents)
	return t
}

// reasonFor returns a flow's reason as a reader may know it. a is nil if the policies
// cannot be asked.
func (e *Explainer) reasonFor(r reader, prefix string, infos []dialect.PrefixInfo, a *policy.Answer) policy.Reason {
	rule := e.ruleReason(r, prefix, infos)
	if a == nil {
		return rule
	}
	own := e.cfg.Rules.Parse(prefix)
	if !r.knowsRule(prefix, &own) {
		prefix = ""
	}
	return e.combine(r, a, rule, prefix)
}
