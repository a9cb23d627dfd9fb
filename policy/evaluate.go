package policy

import "time"

// Evaluate says what the policies that the Set holds say of a flow.
func (s *Set) Evaluate(f *Flow) Answer {
	s.mu.RLock()
	defer s.mu.RUnlock()
	in := asked{direction: Ingress, pod: &f.Destination, peer: &f.Source}
	out := asked{direction: Egress, pod: &f.Source, peer: &f.Destination}
	for _, q := range []*asked{&in, &out} {
		q.server, q.protocol, q.port = &f.Destination, string(f.Protocol), f.Port
		q.peerNamespace = s.labelsOf(q.peer.Namespace)
	}
	return Answer{Ingress: s.side(&in), Egress: s.side(&out)}
}

// side judges one direction: the policies that select the pod are added up, as
// the API says; it is enough that one rule allows the flow.
func (s *Set) side(q *asked) Side {
	side := Side{Direction: q.direction}
	if q.pod.Kind != Pod {
		return side
	}
	side.Namespace = q.pod.Namespace
	ns := s.namespaces[q.pod.Namespace]
	if ns == nil {
		side.Verdict = Unselected
		return side
	}
	near := nearest{}
	for _, h := range ns.policies {
		if !h.isolates[q.direction] || !h.pods.Matches(q.pod.Labels) {
			continue
		}
		side.add(h.name)
		if side.Verdict != Allowed && near.allows(q, h.Record) {
			side.Verdict, side.AllowedBy, side.Since = Allowed, h.name, timeOf(h.changed)
		}
	}
	side.conclude(q, ns, &near)
	return side
}

func (s *Side) add(name string) {
	if s.Count++; s.Count <= MaxNames {
		s.Policies = append(s.Policies, name)
	}
}

// conclude settles what is not allowed by a rule.
func (s *Side) conclude(q *asked, ns *namespace, near *nearest) {
	switch {
	case s.Verdict == Allowed:
	case s.Count == 0:
		s.Verdict, s.Since = Unselected, timeOf(ns.removed)
	case q.exempt():
		s.Verdict = Exempt
	case near.unclear:
		s.Verdict = Undecided
	default:
		s.Verdict, s.Nearest = Denied, near.miss()
	}
}

// timeOf is a time kept as Unix seconds; 0 is not known.
func timeOf(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}
