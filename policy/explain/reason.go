package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/dialect"
)

// maxShown bounds the policies in a text, and maxNames the bytes of their names after the
// first. Otherwise the end of the text could be cut off an event.
const maxShown, maxNames = 4, 300

// combine combines the answer of the policies with what the rule's prefix says.
func (e *Explainer) combine(r reader, a *policy.Answer, rule policy.Reason, prefix string) policy.Reason {
	in, out := &a.Ingress, &a.Egress
	denied := denial(r, a)
	switch {
	case denied != nil:
		return *denied
	case in.Verdict == policy.Undecided || out.Verdict == policy.Undecided,
		in.Verdict == policy.NoPod && out.Verdict == policy.NoPod:
		return rule
	}
	for _, s := range []*policy.Side{in, out} {
		if ago := e.cfg.Now().Sub(s.Since); !s.Since.IsZero() && ago < e.cfg.Fresh {
			return policy.Reason{Text: lately(r, s, ago), Code: policy.ReasonAllowedLately}
		}
	}
	none := policy.Reason{Text: "no NetworkPolicy denies this", Code: policy.ReasonAllowed}
	switch {
	case in.Verdict == policy.Exempt || out.Verdict == policy.Exempt:
		none.Text = "no NetworkPolicy may deny traffic between a pod and itself or its own node"
	case in.Count+out.Count == 0:
		none = policy.Reason{Text: "no NetworkPolicy selects " + selected(in, out), Code: policy.ReasonUnselected}
	}
	if rule.Text != "" {
		return policy.Reason{Text: rule.Text + "; " + none.Text, Policies: rule.Policies, Code: policy.ReasonRule}
	}
	none.Text += "; " + e.ruleName(prefix) + " does"
	if none.Code == policy.ReasonUnselected {
		none.Text = strings.TrimSuffix(none.Text, " does") + " denies this"
	}
	return none
}

// selected names the pods that policies could select.
func selected(in, out *policy.Side) string {
	if in.Verdict != policy.NoPod && out.Verdict != policy.NoPod {
		return "either pod"
	}
	return "the pod"
}

// ruleName names a rule by its prefix.
func (e *Explainer) ruleName(prefix string) string {
	name := "a rule"
	if prefix != "" {
		name = `rule "` + prefix + `"`
	}
	if e.cfg.NodeName != "" {
		name += " on node " + e.cfg.NodeName
	}
	return name
}

// lately returns the text for a flow that is allowed for so short a time that the node may
// not have known it.
func lately(r reader, s *policy.Side, ago time.Duration) string {
	since := fmt.Sprintf("allowed since %d s ago", int(max(ago, 0).Seconds()))
	if s.Verdict == policy.Allowed && !r.knows(s.Namespace) {
		return since + " by a NetworkPolicy in namespace " + s.Namespace
	}
	if s.Verdict == policy.Allowed {
		return since + " by NetworkPolicy " + s.Namespace + "/" + s.AllowedBy
	}
	return since + ", when a NetworkPolicy that selected the pod was deleted or changed in " + s.Namespace
}

// Denial returns the reason if policies deny a flow, else nil.
func Denial(a *policy.Answer) *policy.Reason { return denial(reader{platform: true}, a) }

func denial(r reader, a *policy.Answer) *policy.Reason {
	in, out := a.Ingress.Verdict == policy.Denied, a.Egress.Verdict == policy.Denied
	switch {
	case in && out:
		both := policy.Reason{Text: "denied by " + sideText(r, &a.Ingress) + ", and by " + sideText(r, &a.Egress), Code: policy.ReasonDeniedBoth}
		both.Policies = append(names(&a.Ingress), names(&a.Egress)...)
		return &both
	case in:
		return &policy.Reason{Text: "denied by " + sideText(r, &a.Ingress), Policies: names(&a.Ingress), Code: policy.ReasonDeniedIngress}
	case out:
		return &policy.Reason{Text: "denied by " + sideText(r, &a.Egress), Policies: names(&a.Egress), Code: policy.ReasonDeniedEgress}
	}
	return nil
}

// names returns the policies as namespace/name.
func names(s *policy.Side) []string {
	var all []string
	for _, name := range s.Policies {
		all = append(all, s.Namespace+"/"+name)
	}
	return all
}

// sideText returns a text such as "NetworkPolicy shop/api-ingress, shop/default-deny (no
// rule allows it; nearest: api-ingress allows port 9090/TCP from it)". For egress the
// policies are those of the sender. A reader who may not know the policies gets "a
// NetworkPolicy in namespace shop".
func sideText(r reader, s *policy.Side) string {
	if !r.knows(s.Namespace) {
		return "a NetworkPolicy in namespace " + s.Namespace
	}
	text, shown := "NetworkPolicy ", 0
	for _, name := range names(s) {
		if shown == maxShown || shown > 0 && len(text)+len(name) > maxNames {
			break
		}
		if shown > 0 {
			text += ", "
		}
		text += name
		shown++
	}
	if more := s.Count - shown; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	rule := "no rule allows it"
	if s.Direction == policy.Egress {
		rule = "no egress rule allows it"
	}
	if s.Nearest != nil {
		rule += "; nearest: " + nearest(s.Nearest, s.Direction)
	}
	return text + " (" + rule + ")"
}

func nearest(m *policy.Miss, d policy.Direction) string {
	way := map[policy.Direction]string{policy.Ingress: "from", policy.Egress: "to"}[d]
	if m.Peer {
		return m.Policy + " allows port " + m.Ports + " " + way + " it"
	}
	return m.Policy + " allows this port " + way + " " + m.Peers
}

// ruleReason returns the reason that the prefixes of the rules give.
func (e *Explainer) ruleReason(to reader, prefix string, infos []dialect.PrefixInfo) policy.Reason {
	if own := e.cfg.Rules.Parse(prefix); own.Action != dialect.Unspecified || own.Policy != "" {
		infos = append(infos[:len(infos):len(infos)], own)
	}
	var r policy.Reason
	kind := ""
	var hidden []string
	for _, s := range infos {
		text := s.Policy
		if s.Cut {
			text += "…"
		}
		unknown := s.Policy != "" && !to.knowsRule("", &s)
		switch {
		case s.Kind == "":
			continue
		case unknown:
			if kind, text = "", "a "+s.Kind+" in namespace "+owner(&s); slices.Contains(hidden, text) {
				continue
			}
			hidden = append(hidden, text)
		case text == "":
			text = s.Kind
		case s.Kind != kind:
			kind, text = s.Kind, s.Kind+" "+text
		}
		if r.Text != "" {
			text = ", " + text
		}
		r.Text += text
		if s.Policy != "" && !s.Cut {
			r.Policies = append(r.Policies, s.Policy)
		}
	}
	if r.Text == "" {
		return policy.Reason{Code: policy.ReasonUnknown}
	}
	r.Text, r.Code = "denied by "+r.Text, policy.ReasonRule
	return r
}
