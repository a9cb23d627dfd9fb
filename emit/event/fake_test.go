package event

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/emittest"
	"github.com/kube-nflog/kube-nflog/policy"
)

// fakeServer keeps events in memory, with the answers of a real API server to
// POST and PATCH; the tests of module test hold it against a real one.
type fakeServer struct {
	mu     sync.Mutex
	events map[string]corev1.Event
	calls  []string
	fail   func(j *request) error // before the call has an effect; nil: none
	lose   func(j *request) error // after it had: the answer is lost
}

var (
	eventsResource     = schema.GroupResource{Resource: "events"}
	namespacesResource = schema.GroupResource{Resource: "namespaces"}
)

func newFakeServer() *fakeServer { return &fakeServer{events: map[string]corev1.Event{}} }

func (s *fakeServer) call(ctx context.Context, j *request) response {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, j.op.String())
	if s.fail != nil {
		if err := s.fail(j); err != nil {
			return classify(ctx, j, err)
		}
	}
	a := s.apply(ctx, j)
	if s.lose != nil {
		if err := s.lose(j); err != nil {
			return classify(ctx, j, err)
		}
	}
	return a
}

func (s *fakeServer) apply(ctx context.Context, j *request) response {
	id := j.namespace + "/" + j.name
	ev, found := s.events[id]
	switch {
	case j.op == opPost && found:
		return classify(ctx, j, apierrors.NewAlreadyExists(eventsResource, j.name))
	case j.op == opPost:
		s.events[id] = *j.event.DeepCopy()
		return classify(ctx, j, nil)
	case !found:
		return classify(ctx, j, apierrors.NewNotFound(eventsResource, j.name))
	}
	annotations := maps.Clone(ev.Annotations)
	ev.Annotations = nil
	if err := json.Unmarshal(j.patch, &ev); err != nil {
		panic(err)
	}
	maps.Copy(annotations, ev.Annotations)
	ev.Annotations = annotations
	s.events[id] = ev
	a := classify(ctx, j, nil)
	a.count, a.writer, a.first = ev.Count, ev.Annotations[writerAnnotation], ev.FirstTimestamp.Time
	return a
}

// list returns the events by message, for comparing.
func (s *fakeServer) list() []corev1.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.events), func(a, b corev1.Event) int {
		if a.InvolvedObject.Name != b.InvolvedObject.Name {
			return map[bool]int{true: -1, false: 1}[a.InvolvedObject.Name < b.InvolvedObject.Name]
		}
		return map[bool]int{true: -1, false: 1}[a.Message < b.Message]
	})
}

// counts returns every event's count by its message.
func (s *fakeServer) counts() map[string]int32 {
	got := map[string]int32{}
	for _, ev := range s.list() {
		got[ev.InvolvedObject.Name+": "+ev.Message] += ev.Count
	}
	return got
}

func (s *fakeServer) total() (sum int64) {
	for _, ev := range s.list() {
		sum += int64(ev.Count)
	}
	return sum
}

func (s *fakeServer) made() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func throttled(seconds int) error {
	err := apierrors.NewTooManyRequests("slow down", seconds)
	err.ErrStatus.Code = http.StatusTooManyRequests
	return err
}

// The flows and endpoints of tests.
var (
	pod      = emittest.Pod
	external = emittest.External
	tcp      = emittest.TCP
	start    = emittest.Start()
	sum      = emittest.Sum
)

// because gives a flow its reason.
func because(d *emit.DroppedFlow, why policy.Reason) *emit.DroppedFlow {
	d.Reason = why
	return d
}

// testSink counts what it is given.
type testSink struct {
	*Sink

	dropped atomic.Uint64 // packets
}

func (e *testSink) Add(d *emit.DroppedFlow) {
	e.dropped.Add(d.Packets)
	e.Sink.Add(d)
}

func newTestSink(t *testing.T, cfg Config, s *fakeServer) *testSink {
	t.Helper()
	if cfg.NodeName == "" {
		cfg.NodeName = "n1"
	}
	e, err := newSink(cfg.withDefaults(), s)
	if err != nil {
		t.Fatal(err)
	}
	return &testSink{Sink: e}
}

// flush writes all that is pending.
func flush(t *testing.T, e *testSink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := e.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}
