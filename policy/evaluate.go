package policy

import "time"

// room is for the labels of a pod or namespace; more of them go on the heap.
const room = 16

// Evaluate says what the policies that the Set holds say of a flow.
func (s *Set) Evaluate(f *Flow) Answer {
	var rooms [4][room]label
	source, destination := s.hasher.labelling(f.Source.Labels, rooms[0][:]), s.hasher.labelling(f.Destination.Labels, rooms[1][:])
	in := asked{direction: Ingress, pod: &f.Destination, peer: &f.Source, podLabels: &destination, peerLabels: &source}
	out := asked{direction: Egress, pod: &f.Source, peer: &f.Destination, podLabels: &source, peerLabels: &destination}
	var portNames []string
	if f.Destination.Kind == Pod && f.Destination.Ports != nil {
		portNames = f.Destination.Ports.NamesOf(string(f.Protocol), f.Port)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, q := range []*asked{&in, &out} {
		q.server, q.protocol, q.port, q.portNames = &f.Destination, protocolOf(f.Protocol), f.Port, portNames
		q.neighbour, q.peerAddr = q.peer.Namespace == q.pod.Namespace, q.peer.Addr.Unmap()
		namespace := s.hasher.labelling(s.labelsOf(q.peer.Namespace), rooms[2+i][:])
		q.namespaceLabels = &namespace
		q.has = q.digest()
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
	for i := range ns.policies {
		h := &ns.policies[i]
		if !h.isolates[q.direction] || !h.selects(q.podLabels) {
			continue
		}
		side.add(h)
		if side.Verdict != Allowed && near.concerns(q.has, h.about[q.direction]) && near.allows(q, h.Record) {
			side.Verdict, side.AllowedBy, side.Since = Allowed, h.name, timeOf(h.changed)
		}
	}
	side.conclude(q, ns, &near)
	return side
}

func (s *Side) add(h *held) {
	if s.Policies == nil {
		s.Policies = make([]string, 0, MaxNames)
	}
	if s.Count++; s.Count <= MaxNames {
		s.Policies = append(s.Policies, h.name)
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
