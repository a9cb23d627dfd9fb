package explain

import (
	"errors"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/policy/explain"
)

// judged are flows of which policies say the same.
type judged struct {
	candidate

	text    string
	verdict policy.Verdict
	pairs   map[[4]string]bool // of namespaces and names
}

// judge asks the policies about the flows, and puts those together of which they
// say the same.
func (c *cluster) judge(flows []candidate) (all []*judged) {
	said := map[string]*judged{}
	for i := range flows {
		f := &flows[i]
		a := c.policies.Evaluate(&f.Flow)
		text, verdict := explain.Verdict(&a)
		key := fmt.Sprint(f.Port, f.via, text)
		j := said[key]
		if j == nil {
			j = &judged{candidate: *f, text: text, verdict: verdict, pairs: map[[4]string]bool{}}
			said[key], all = j, append(all, j)
		}
		j.pairs[[4]string{f.Source.Namespace, f.Source.Name, f.Destination.Namespace, f.Destination.Name}] = true
	}
	return all
}

// print writes a line for each answer, and what would allow what is denied. It
// returns the worst answer.
func (q *Config) print(all []*judged, c *cluster) (policy.Verdict, error) {
	// With --suggest the YAML is what goes on to kubectl: the verdict is a comment.
	mark := ""
	if q.Suggest {
		mark = "# "
	}
	var denied, undecided bool
	for _, j := range all {
		more := ""
		if n := len(j.pairs) - 1; n > 0 {
			more = fmt.Sprintf(", and %d more pairs,", n)
		}
		if _, err := fmt.Fprintf(q.Out, "%s%s → %s%s%s on port %d/%s: %s\n",
			mark, endName(&j.Source), endName(&j.Destination), j.via, more, j.Port, j.Protocol, j.text); err != nil {
			return policy.Undecided, err
		}
		denied, undecided = denied || j.verdict == policy.Denied, undecided || j.verdict == policy.Undecided
	}
	if q.Suggest {
		if err := suggest(q.Out, all, c); err != nil {
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

func endName(e *policy.End) string {
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
func suggest(w io.Writer, all []*judged, c *cluster) error {
	written := map[string]bool{}
	known := c.known()
	for _, j := range all {
		if j.verdict != policy.Denied {
			continue
		}
		made, err := c.policies.Suggest(&j.Flow, known)
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
		if err := also(w, &made, &j.Flow); err != nil {
			return err
		}
	}
	return nil
}

// also writes as comments what a suggestion allows beyond the question.
func also(w io.Writer, made *policy.Suggestion, f *policy.Flow) error {
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
		line("  %s → %s", endName(&made.Also[i].Source), endName(&made.Also[i].Destination))
	}
	if more := made.AlsoCount - len(made.Also); more > 0 {
		line("  and %d more", more)
	}
	if made.AtLeast {
		line("  and perhaps more: there are too many pods to look at all pairs")
	}
	return errors.Join(errs...)
}
