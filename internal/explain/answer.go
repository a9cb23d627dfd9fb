package explain

import (
	"errors"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/explain"
)

// answer is what the policies say of a connection, and of others that get the same
// answer.
type answer struct {
	connection // the first of them

	text    string
	verdict policy.Verdict
	pairs   map[[4]string]bool // the namespaces and names of all pairs of ends
}

// evaluate asks the policies about all connections. It returns one answer for those
// that differ only in their ends.
func (s *snapshot) evaluate(connections []connection) (all []*answer) {
	byText := map[string]*answer{}
	for i := range connections {
		c := &connections[i]
		evaluated := s.policies.Evaluate(&c.Flow)
		text, verdict := explain.Outcome(&evaluated)
		key := fmt.Sprint(c.Port, c.via, text)
		a := byText[key]
		if a == nil {
			a = &answer{connection: *c, text: text, verdict: verdict, pairs: map[[4]string]bool{}}
			byText[key], all = a, append(all, a)
		}
		a.pairs[[4]string{c.Source.Namespace, c.Source.Name, c.Destination.Namespace, c.Destination.Name}] = true
	}
	return all
}

// print writes a line for each answer and, with Suggest, the policies that would
// allow what is denied. It returns the worst answer.
func (c *Config) print(all []*answer, s *snapshot) (policy.Verdict, error) {
	mark := ""
	if c.Suggest {
		mark = "# " // the output is YAML for kubectl
	}
	var denied, undecided bool
	for _, a := range all {
		more := ""
		if n := len(a.pairs) - 1; n > 0 {
			more = fmt.Sprintf(", and %d more pairs,", n)
		}
		if _, err := fmt.Fprintf(c.Out, "%s%s → %s%s%s on port %d/%s: %s\n",
			mark, endText(&a.Source), endText(&a.Destination), a.via, more, a.Port, a.Protocol, a.text); err != nil {
			return policy.Undecided, err
		}
		denied, undecided = denied || a.verdict == policy.Denied, undecided || a.verdict == policy.Undecided
	}
	if c.Suggest {
		if err := suggest(c.Out, all, s); err != nil {
			return policy.Undecided, err
		}
	}
	switch {
	case denied:
		return policy.Denied, nil
	case undecided:
		return policy.Undecided, nil
	}
	return policy.Allowed, nil
}

// endText names an end for a person.
func endText(e *policy.End) string {
	switch {
	case e.Name == "":
		return e.Addr.String()
	case e.Namespace == "":
		return "node " + e.Name + " (" + e.Addr.String() + ")"
	case !e.Addr.IsValid():
		return e.Namespace + "/" + e.Name + " (no address yet)"
	}
	return e.Namespace + "/" + e.Name + " (" + e.Addr.String() + ")"
}

// suggest writes the policies that would allow what is denied, each once.
func suggest(w io.Writer, all []*answer, s *snapshot) error {
	written := map[string]bool{}
	known := s.known()
	for _, a := range all {
		if a.verdict != policy.Denied {
			continue
		}
		made, err := s.policies.Suggest(&a.Flow, known)
		if err != nil {
			return fmt.Errorf("suggest a NetworkPolicy: %w", err)
		}
		for i, p := range made.Policies {
			if written[p.Namespace+"/"+p.Name] {
				continue
			}
			written[p.Namespace+"/"+p.Name] = true
			text, err := yaml.Marshal(p)
			if err != nil {
				return fmt.Errorf("write %s: %w", p.Name, err)
			}
			if _, err := fmt.Fprintf(w, "---\n# Selects only pods that %s/%s selects already.\n%s", p.Namespace, made.Within[i], text); err != nil {
				return err
			}
		}
		if err := writeAlso(w, &made, &a.Flow); err != nil {
			return err
		}
	}
	return nil
}

// writeAlso writes, as comments, what a suggestion allows beyond the question.
func writeAlso(w io.Writer, made *policy.Suggestion, f *policy.Flow) error {
	if made.AlsoCount == 0 {
		return nil
	}
	var errs []error
	line := func(format string, values ...any) {
		_, err := fmt.Fprintf(w, "# "+format+"\n", values...)
		errs = append(errs, err)
	}
	line("On port %d/%s this allows also:", f.Port, f.Protocol)
	for i := range made.Also {
		line("  %s → %s", endText(&made.Also[i].Source), endText(&made.Also[i].Destination))
	}
	if more := made.AlsoCount - len(made.Also); more > 0 {
		line("  and %d more", more)
	}
	if made.AtLeast {
		line("  and perhaps more: there are too many pods to look at all pairs")
	}
	return errors.Join(errs...)
}
