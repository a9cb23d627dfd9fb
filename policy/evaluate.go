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
	near, among := nearest{}, selecting{}
	for i := range ns.policies {
		h := &ns.policies[i]
		if !h.isolates[q.direction] || !h.selects(q.podLabels) {
			continue
		}
		side.add(h)
		among.add(h)
		if among.mayAllow(h) && near.concerns(q.has, h.about[q.direction]) && near.allows(q, h.Record) {
			among.by = h
		}
	}
	side.conclude(q, ns, &near, &among)
	return side
}

// selecting is what Since follows from: the policies that select the pod.
type selecting struct {
	by            *held // allows the flow, and has for longest
	first, second *held // those that were created first
}

func (s *selecting) add(h *held) {
	switch {
	case s.first == nil || h.created < s.first.created:
		s.first, s.second = h, s.first
	case s.second == nil || h.created < s.second.created:
		s.second = h
	}
}

// mayAllow says whether it is of interest if the policy allows the flow.
func (s *selecting) mayAllow(h *held) bool { return s.by == nil || h.changed < s.by.changed }

// since is when the flow came to be allowed. If nothing else selected the pod
// before, it had been allowed already, and that is not known.
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

func (s *Side) add(h *held) {
	if s.Policies == nil {
		s.Policies = make([]string, 0, MaxNames)
	}
	if s.Count++; s.Count <= MaxNames {
		s.Policies = append(s.Policies, h.name)
	}
}

// conclude settles the verdict.
func (s *Side) conclude(q *asked, ns *namespace, near *nearest, among *selecting) {
	switch {
	case among.by != nil:
		s.Verdict, s.AllowedBy, s.Since = Allowed, among.by.name, among.since()
	case s.Count == 0:
		s.Verdict, s.Since = Unselected, timeOf(ns.released(q))
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
