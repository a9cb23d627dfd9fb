package event

import (
	"encoding/json"
	"fmt"
	"strconv"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// writerAnnotation on an event names the entry, of one run of one agent, that last
// wrote the count. If the response to a POST was lost, the next POST meets the
// event. The annotation then shows that the count is in the event already.
const writerAnnotation = "kube-nflog/writer"

// reasonCodeAnnotation on an event is the policy.ReasonCode of the last packets. An
// aggregate has the codes of all its packets, separated by commas.
const reasonCodeAnnotation = "kube-nflog/reason-code"

// operation is a kind of request.
type operation uint8

const (
	opPost  operation = iota // create the event
	opPatch                  // set count, lastTimestamp and, if new, the message
	opAdopt                  // set lastTimestamp and read the count
)

func (o operation) String() string { return [...]string{"post", "patch", "adopt"}[o] }

// request is one call to the API server for an entry. It keeps what the entry was
// when the request was built, because flows may be added meanwhile.
type request struct {
	entry     *eventEntry
	op        operation
	namespace string
	name      string
	event     *corev1.Event // for opPost
	patch     []byte        // for the other operations
	packets   uint64
	message   string
	codes     string // reasonCodeAnnotation
	related   *corev1.ObjectReference
	first     time.Time
	started   time.Time
}

// requestBuilder builds the requests of entries.
type requestBuilder struct {
	cfg     *Config
	message *template.Template // nil for the built-in sentence
}

// build returns the request that an entry needs next.
func (b *requestBuilder) build(e *eventEntry, now time.Time) *request {
	req := &request{
		entry:     e,
		namespace: e.object.key.eventNamespace(),
		name:      e.name,
		packets:   e.packets,
		message:   b.messageOf(e),
		codes:     e.codes(),
		related:   e.related(),
		first:     e.first,
		started:   now,
	}
	switch e.event {
	case eventAbsent:
		req.op = opPost
		req.event = b.eventOf(e, req)
	case eventConflict:
		req.op = opAdopt
		req.patch = mustMarshal(eventPatch{LastTimestamp: timestamp(e.last)})
	case eventPresent:
		req.op = opPatch
		req.patch = mustMarshal(patchOf(e, req))
	}
	return req
}

// eventPatch is a merge patch of an event. Its values are absolute, so applying it
// twice does no harm.
type eventPatch struct {
	Metadata patchMetadata `json:"metadata,omitzero"`
	Count    int32         `json:"count,omitempty"`
	// FirstTimestamp is set if it is earlier than the event's, for example because
	// the clock was set back.
	FirstTimestamp string `json:"firstTimestamp,omitempty"`
	LastTimestamp  string `json:"lastTimestamp"`
	Message        string `json:"message,omitempty"`
	// Related is set if it differs from what was last written. It is never removed,
	// because the peer of an entry stays an object.
	Related *relatedPatch `json:"related,omitempty"`
}

// relatedPatch is a corev1.ObjectReference with all fields. A merge patch without
// a field would leave the field of the previous reference.
type relatedPatch struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
}

type patchMetadata struct {
	Annotations map[string]string `json:"annotations,omitempty"`
	// ManagedFields with one empty entry tells the API server to forget who set
	// which field. Nobody applies events, and this is a fifth of the cost of a patch
	// and almost half of the object.
	ManagedFields []struct{} `json:"managedFields,omitempty"`
}

func patchOf(e *eventEntry, req *request) eventPatch {
	p := eventPatch{Count: e.count(), LastTimestamp: timestamp(e.last)}
	if req.message != e.message {
		p.Message = req.message
	}
	if req.related != nil && (e.wroteRelated == nil || *req.related != *e.wroteRelated) {
		p.Related = &relatedPatch{req.related.APIVersion, req.related.Kind, req.related.Namespace, req.related.Name, string(req.related.UID)}
	}
	if e.first.Before(e.began) {
		p.FirstTimestamp = timestamp(e.first)
	}
	if !e.owned || req.codes != e.wroteCodes {
		p.Metadata.Annotations = annotations(e, req)
	}
	if !e.bare {
		p.Metadata.ManagedFields = []struct{}{{}}
	}
	return p
}

// annotations returns the annotations of an event.
func annotations(e *eventEntry, req *request) map[string]string {
	a := map[string]string{writerAnnotation: e.writer}
	if req.codes != "" {
		a[reasonCodeAnnotation] = req.codes
	}
	return a
}

// timestamp formats a time as metav1.Time does.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// mustMarshal marshals a patch. No patch has a value that could fail.
func mustMarshal(p eventPatch) []byte {
	data, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("marshal event patch: %v", err))
	}
	return data
}

// eventOf returns the event with the legacy core/v1 fields, which every kubectl
// prints correctly. eventTime and series stay unset.
func (b *requestBuilder) eventOf(e *eventEntry, req *request) *corev1.Event {
	key := &e.object.key
	return &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   key.eventNamespace(),
			Name:        e.name,
			Annotations: annotations(e, req),
		},
		InvolvedObject: corev1.ObjectReference{
			APIVersion: "v1",
			Kind:       key.kind,
			Namespace:  key.namespace,
			Name:       key.name,
			UID:        types.UID(key.uid),
		},
		Type:           corev1.EventTypeWarning,
		Reason:         b.cfg.Reason,
		Message:        req.message,
		Related:        req.related,
		Count:          e.count(),
		FirstTimestamp: metav1.NewTime(e.first),
		LastTimestamp:  metav1.NewTime(e.last),
		Source:         corev1.EventSource{Component: b.cfg.Component, Host: b.cfg.NodeName},
	}
}

// messageOf returns the current message of an entry's event.
func (b *requestBuilder) messageOf(e *eventEntry) string {
	if e.aggregate != nil {
		return withAtLeast(e.aggregate.text(e.key.direction), e.atLeastText())
	}
	return renderMessage(b.message, b.messageData(e))
}

func (b *requestBuilder) messageData(e *eventEntry) *MessageData {
	peer := emit.Clean(e.peer.text())
	if e.key.direction == forwarding {
		peer += " to " + e.key.peer.via.String()
	}
	m := &MessageData{
		Direction:    e.key.direction.String(),
		Traffic:      trafficText(e.key.direction, peer),
		Namespace:    e.object.key.namespace,
		Name:         e.object.key.name,
		Peer:         peer,
		PeerIP:       e.peer.last.IP.String(),
		PeerKind:     e.peer.last.Kind.String(),
		PeerName:     emit.Clean(e.peer.last.Name),
		PeerWorkload: e.peer.last.Workload,
		On:           e.key.target.on(),
		Protocol:     e.key.target.protocol.String(),
		TCPFlags:     flagsText(e.flags),
		Node:         b.cfg.NodeName,
		Why:          emit.Clean(e.why),
		AtLeast:      e.atLeastText(),
	}
	if e.peer.last.Kind == resolve.Pod || e.peer.last.Kind == resolve.Service {
		m.PeerNamespace = e.peer.last.Namespace
	}
	if t := &e.key.target; t.hasPort {
		m.Port = strconv.Itoa(int(t.port))
	} else if t.hasICMP {
		m.ICMP = icmpName(t.protocol, t.icmpType, t.icmpCode)
	}
	for _, p := range e.prefixes {
		m.Prefixes = append(m.Prefixes, quote(p))
	}
	return m
}
