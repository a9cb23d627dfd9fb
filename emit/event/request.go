package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// writerAnnotation on an event names the entry, of one run of one agent, that
// wrote its count last. A POST whose answer was lost shows by it that the
// object it meets is its own, so that its count is not added twice.
const writerAnnotation = "kube-nflog/writer"

// reasonCodeAnnotation on an event is the policy.ReasonCode of the packets. A
// aggregate has the codes of all its packets, separated by commas.
const reasonCodeAnnotation = "kube-nflog/reason-code"

// operation is one kind of call.
type operation uint8

const (
	opPost  operation = iota // create the object
	opPatch                  // set count, lastTimestamp and, if new, the message
	opAdopt                  // set lastTimestamp and read the count
)

func (o operation) String() string { return [...]string{"post", "patch", "adopt"}[o] }

// request is one call to make for an entry, and what the entry stood for when it
// was made up.
type request struct {
	eventEntry *eventEntry
	op         operation
	namespace  string
	name       string
	event      *corev1.Event // for opPost
	patch      []byte        // else
	packets    uint64
	message    string
	codes      string // reasonCodeAnnotation
	related    *corev1.ObjectReference
	first      time.Time
	started    time.Time
}

// newRequest makes up the call that an entry needs next.
func (l *correlator) newRequest(r *eventEntry, now time.Time) *request {
	j := &request{
		eventEntry: r,
		namespace:  r.involvedObject.key.eventNamespace(),
		name:       r.name,
		packets:    r.packets,
		message:    l.messageOf(r),
		codes:      r.codes(),
		related:    r.related(),
		first:      r.first,
		started:    now,
	}
	switch r.object {
	case objectAbsent:
		j.op = opPost
		j.event = l.eventOf(r, j)
	case objectConflict:
		j.op = opAdopt
		j.patch = mustMarshal(eventPatch{LastTimestamp: timestamp(r.last)})
	case objectPresent:
		j.op = opPatch
		j.patch = mustMarshal(patchOf(r, j))
	}
	return j
}

// eventPatch is a merge patch of an event: absolute values, so that applying
// it twice does no harm.
type eventPatch struct {
	Metadata patchMetadata `json:"metadata,omitzero"`
	Count    int32         `json:"count,omitempty"`
	// FirstTimestamp is set where it is earlier than the object's, as when the
	// clock was set back.
	FirstTimestamp string `json:"firstTimestamp,omitempty"`
	LastTimestamp  string `json:"lastTimestamp"`
	Message        string `json:"message,omitempty"`
	// Related is set where it differs from what was written. It is never taken
	// away: a peer does not stop being an object.
	Related *relatedPatch `json:"related,omitempty"`
}

// relatedPatch is a corev1.ObjectReference that replaces another: it has every
// field, so that a merge leaves none of the other's.
type relatedPatch struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
}

type patchMetadata struct {
	Annotations map[string]string `json:"annotations,omitempty"`
	// ManagedFields are one empty entry to have the API server no longer keep who
	// set which field: nobody applies events, and it is a fifth of what a patch
	// costs it and almost half of the object.
	ManagedFields []struct{} `json:"managedFields,omitempty"`
}

func patchOf(r *eventEntry, j *request) eventPatch {
	p := eventPatch{Count: r.count(), LastTimestamp: timestamp(r.last)}
	if j.message != r.message {
		p.Message = j.message
	}
	if j.related != nil && (r.wroteRelated == nil || *j.related != *r.wroteRelated) {
		p.Related = &relatedPatch{j.related.APIVersion, j.related.Kind, j.related.Namespace, j.related.Name, string(j.related.UID)}
	}
	if r.first.Before(r.began) {
		p.FirstTimestamp = timestamp(r.first)
	}
	if !r.owned || j.codes != r.wroteCodes {
		p.Metadata.Annotations = annotations(r, j)
	}
	if !r.bare {
		p.Metadata.ManagedFields = []struct{}{{}}
	}
	return p
}

// annotations returns those of an event that a request writes.
func annotations(r *eventEntry, j *request) map[string]string {
	a := map[string]string{writerAnnotation: r.writer}
	if j.codes != "" {
		a[reasonCodeAnnotation] = j.codes
	}
	return a
}

// timestamp writes a time as metav1.Time does.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// mustMarshal marshals a patch, which holds nothing that could fail.
func mustMarshal(p eventPatch) []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("marshal event patch: %v", err))
	}
	return b
}

// eventOf returns the event object with the legacy core/v1 fields, which every
// kubectl prints right; eventTime and series stay unset.
func (l *correlator) eventOf(r *eventEntry, j *request) *corev1.Event {
	key := &r.involvedObject.key
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   key.eventNamespace(),
			Name:        r.name,
			Annotations: annotations(r, j),
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1",
			Kind:       key.kind,
			Namespace:  key.namespace,
			Name:       key.name,
			UID:        types.UID(key.uid),
		},
		Type:           corev1.EventTypeWarning,
		Reason:         l.cfg.Reason,
		Message:        j.message,
		Related:        j.related,
		Count:          r.count(),
		FirstTimestamp: metav1.NewTime(r.first),
		LastTimestamp:  metav1.NewTime(r.last),
		Source:         corev1.EventSource{Component: l.cfg.Component, Host: l.cfg.NodeName},
	}
}

// messageOf returns the message that an entry's event should have now.
func (l *correlator) messageOf(r *eventEntry) string {
	if r.aggregate != nil {
		return withAtLeast(r.aggregate.text(r.key.direction), r.atLeastText())
	}
	return renderMessage(l.message, l.messageData(r))
}

func (l *correlator) messageData(r *eventEntry) *MessageData {
	peer := emit.Clean(r.peer.text())
	if r.key.direction == forwarding {
		peer += " to " + r.key.peer.via.String()
	}
	m := &MessageData{
		Direction:    r.key.direction.String(),
		Traffic:      trafficText(r.key.direction, peer),
		Namespace:    r.involvedObject.key.namespace,
		Name:         r.involvedObject.key.name,
		Peer:         peer,
		PeerIP:       r.peer.last.IP.String(),
		PeerKind:     r.peer.last.Kind.String(),
		PeerName:     emit.Clean(r.peer.last.Name),
		PeerWorkload: r.peer.last.Workload,
		On:           r.key.target.on(),
		Protocol:     r.key.target.protocol.String(),
		TCPFlags:     flagsText(r.flags),
		Node:         l.cfg.NodeName,
		Why:          emit.Clean(r.why),
		AtLeast:      r.atLeastText(),
	}
	if r.peer.last.Kind == resolve.Pod || r.peer.last.Kind == resolve.Service {
		m.PeerNamespace = r.peer.last.Namespace
	}
	if t := &r.key.target; t.hasPort {
		m.Port = strconv.Itoa(int(t.port))
	} else if t.hasICMP {
		m.ICMP = icmpName(t.protocol, t.icmpType, t.icmpCode)
	}
	for _, p := range r.prefixes {
		m.Prefixes = append(m.Prefixes, quote(p))
	}
	return m
}
