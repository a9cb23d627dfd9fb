package explain

import (
	"strings"

	"github.com/kube-nflog/kube-nflog/flow"
	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// reader is who reads a reason: the platform, or the owners of one namespace,
// who may learn of the others no more than their names.
type reader struct {
	platform  bool
	namespace string
}

// knows reports whether the reader may know what lies in a namespace.
func (r reader) knows(namespace string) bool { return r.platform || namespace == r.namespace }

// knowsRule reports whether the reader may know what a rule's prefix names.
func (r reader) knowsRule(prefix string, said *dialect.Said) bool {
	if r.platform {
		return true
	}
	if owner := owner(said); owner != "" {
		return owner == r.namespace
	}
	// What has a slash may name something of a namespace that the dialect cannot
	// read.
	return said.Policy != "" || !strings.Contains(prefix, "/")
}

// owner returns the namespace of what a prefix names, "" for what has none or
// where the prefix does not tell.
func owner(said *dialect.Said) string {
	if namespace, _, ok := strings.Cut(said.Policy, "/"); ok {
		return namespace
	}
	// Felix' profiles are kns.NAMESPACE and ksa.NAMESPACE.SERVICEACCOUNT.
	kind, rest, _ := strings.Cut(said.Policy, ".")
	if kind == "kns" || kind == "ksa" {
		namespace, _, _ := strings.Cut(rest, ".")
		return namespace
	}
	return ""
}

// nodeEvents is the namespace of events about nodes.
const nodeEvents = "default"

// tell puts a flow's reason into words for all who may read it.
func (e *Explainer) tell(f *flow.Flow, said []dialect.Said, a *policy.Answer, source, destination *resolve.Endpoint) policy.Reason {
	platform := reader{platform: true}
	t := e.reasonFor(platform, f.Prefix, said, a)
	if !e.cfg.NamespaceOnly {
		return t
	}
	view := func(namespace string) policy.View {
		r := reader{namespace: namespace}
		own := e.cfg.Rules.Parse(f.Prefix)
		return policy.View{Text: e.reasonFor(r, f.Prefix, said, a).Text, HidePrefix: !r.knowsRule(f.Prefix, &own)}
	}
	t.Source, t.Destination, t.Node = view(source.Namespace), view(destination.Namespace), view(nodeEvents)
	return t
}

// reasonFor returns a flow's reason as a reader may know it. a is nil where the
// policies cannot be asked.
func (e *Explainer) reasonFor(r reader, prefix string, said []dialect.Said, a *policy.Answer) policy.Reason {
	rule := e.ruleReason(r, prefix, said)
	if a == nil {
		return rule
	}
	own := e.cfg.Rules.Parse(prefix)
	if !r.knowsRule(prefix, &own) {
		prefix = ""
	}
	return e.combine(r, a, rule, prefix)
}
