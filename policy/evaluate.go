package policy

import "time"

// Evaluate returns the result of the Set's policies for a flow.
func (s *Set) Evaluate(f *Flow) Answer {
	in := query{direction: Ingress, pod: &f.Destination, peer: &f.Source}
	out := query{direction: Egress, pod: &f.Source, peer: &f.Destination}
	var portNames []string
	if f.Destination.Kind == Pod && f.Destination.Ports != nil {
		portNames = f.Destination.Ports.NamesOf(string(f.Protocol), f.Port)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, q := range []*query{&in, &out} {
		q.server, q.protocol, q.port, q.portNames = &f.Destination, protocolOf(f.Protocol), f.Port, portNames
		q.neighbour, q.peerAddr = q.peer.Namespace == q.pod.Namespace, q.peer.Addr.Unmap()
		q.podLabels, q.peerLabels = newLabelSet(q.pod.Labels), newLabelSet(q.peer.Labels)
		if q.peer.Kind == Pod {
			q.namespace = s.labelsOf(q.peer.Namespace)
		}
	}
	return Answer{Ingress: s.side(&in), Egress: s.side(&out)}
}

// side evaluates one direction. It adds up the policies that select the pod, as the API
// documents it: one rule that allows the flow is enough.
func (s *Set) side(q *query) Side {
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
	near, among, left := nearest{}, selecting{}, maxCompared
	for i := range ns.policies {
		e := &ns.policies[i]
		if !e.isolates[q.direction] {
			continue
		}
		selected := e.pods.match(q.podLabels)
		left -= e.pods.size
		if selected == matches {
			left -= e.size
		}
		switch {
		case left < 0:
			s.overruns.Add(1)
			near.unclear = true
		case selected == unclear:
			near.unclear = true // the policy may isolate the pod, and may allow the flow
		case selected == matches:
			side.add(e)
			among.add(e)
			if among.mayAllow(e) && near.allows(q, e.Compiled) {
				among.by = e
			}
		}
		if left < 0 {
			break
		}
	}
	side.conclude(q, ns, &near, &among)
	return side
}

// selecting holds what since needs of the policies that select the pod.
type selecting struct {
	by            *indexedPolicy // the policy that has allowed the flow for the longest time
	first, second *indexedPolicy // the two oldest policies
}

func (s *selecting) add(e *indexedPolicy) {
	switch {
	case s.first == nil || e.created < s.first.created:
		s.first, s.second = e, s.first
	case s.second == nil || e.created < s.second.created:
		s.second = e
	}
}

// mayAllow reports whether the result changes if the policy allows the flow.
func (s *selecting) mayAllow(e *indexedPolicy) bool { return s.by == nil || e.changed < s.by.changed }

// since returns the time since which the flow is allowed. If no other policy selected the
// pod before, the flow was allowed before too, and the time is not known.
func (s *selecting) since() time.Time {
	other := s.first
	if other == s.by {
		other = s.second
	}
	if s.by.changed == s.by.created && (other == nil || other.created > s.by.changed) {
		return time.Time{}
	}
	return timeOf(s.by.changed)
}

func (s *Side) add(e *indexedPolicy) {
	if s.Policies == nil {
		s.Policies = make([]string, 0, MaxNames)
	}
	if s.Count++; s.Count <= MaxNames {
		s.Policies = append(s.Policies, e.name)
	}
}

// conclude sets the verdict.
func (s *Side) conclude(q *query, ns *namespace, near *nearest, among *selecting) {
	switch {
	case among.by != nil:
		s.Verdict, s.AllowedBy, s.Since = Allowed, among.by.name, among.since()
	case s.Count == 0 && !near.unclear:
		s.Verdict, s.Since = Unselected, timeOf(ns.released(q))
	case q.exempt():
		s.Verdict = Exempt
	case near.unclear:
		s.Verdict = Undecided
	default:
		s.Verdict, s.Nearest = Denied, near.miss()
	}
}

// timeOf converts Unix seconds to a time. 0 stands for an unknown time.
func timeOf(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}
