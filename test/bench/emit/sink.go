package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record"

	"github.com/kube-nflog/kube-nflog/emit/event"
)

// sink is one way to write events.
type sink interface {
	add(f *oneFlow, packets uint64)
	stop()
}

// calls counts requests, and how many of them were throttled.
type calls struct {
	all, throttled atomic.Int64
	lastFirst      atomic.Int64 // when the last client made its first write, Unix nanoseconds
}

type countingTransport struct {
	next  http.RoundTripper
	calls *calls
	wrote sync.Once
}

func (t *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.calls.all.Add(1)
	if r.Method == http.MethodPost {
		t.wrote.Do(func() { t.calls.lastFirst.Store(time.Now().UnixNano()) })
	}
	resp, err := t.next.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusTooManyRequests {
		t.calls.throttled.Add(1)
	}
	return resp, err
}

func (c *calls) wrap(cfg *rest.Config) {
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &countingTransport{next: next, calls: c} })
}

// newSink starts a sink by its name.
func newSink(name string, c *cluster, count *calls) (sink, error) {
	switch name {
	case "kube-nflog":
		return newEmitterSink(c, count, "n1")
	case "tools/record":
		return newRecordSink(c, count)
	case "tools/events":
		return newEventsSink(c, count)
	}
	return nil, fmt.Errorf("no such sink: %s", name)
}

// emitterSink is kube-nflog's emitter with its default budget and the rights of deploy/.
type emitterSink struct {
	*event.Sink
	client  rest.Interface
	metrics *prometheus.Registry
	cancel  context.CancelFunc
	ended   chan error
}

// agentClient returns a client of the core API like an agent's, with its own connection.
func agentClient(c *cluster, count *calls) (rest.Interface, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.agent)
	if err != nil {
		return nil, err
	}
	known := runtime.NewScheme()
	metav1.AddToGroupVersion(known, corev1.SchemeGroupVersion)
	if err := corev1.AddToScheme(known); err != nil {
		return nil, err
	}
	cfg.APIPath, cfg.GroupVersion, cfg.QPS = "/api", &corev1.SchemeGroupVersion, -1
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(known).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeProtobuf
	// client-go shares connections between equal configurations, but not between
	// configurations with different dialers.
	cfg.Dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	count.wrap(cfg)
	return rest.RESTClientFor(cfg)
}

func newEmitterSink(c *cluster, count *calls, node string) (*emitterSink, error) {
	client, err := agentClient(c, count)
	if err != nil {
		return nil, err
	}
	s := &emitterSink{client: client, metrics: prometheus.NewRegistry(), ended: make(chan error, 1)}
	if s.Sink, err = event.New(event.Config{NodeName: node, Registerer: s.metrics}, client); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.ended <- s.Run(ctx) }()
	return s, nil
}

func (s *emitterSink) add(f *oneFlow, packets uint64) { s.Add(f.seen(packets)) }

// stop ends Run without Flush, because the steady state is measured.
func (s *emitterSink) stop() {
	s.cancel()
	<-s.ended
}

// metric returns the value of a metric without labels.
func (s *emitterSink) metric(name string) float64 {
	families, err := s.metrics.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return -1
}

// adminClient returns a client for the recorders, with client-go's defaults.
func adminClient(c *cluster, count *calls) (*kubernetes.Clientset, error) {
	cfg := c.RESTConfig()
	cfg.QPS, cfg.Burst = 0, 0
	count.wrap(cfg)
	return kubernetes.NewForConfig(cfg)
}

func podRef(f *oneFlow) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: f.dst.Namespace, Name: f.dst.Name, UID: types.UID(f.dst.UID)}
}

// recordSink calls client-go's tools/record once for each flow and window.
type recordSink struct {
	recorder    record.EventRecorder
	broadcaster record.EventBroadcaster
}

func newRecordSink(c *cluster, count *calls) (*recordSink, error) {
	client, err := adminClient(c, count)
	if err != nil {
		return nil, err
	}
	b := record.NewBroadcaster()
	b.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return &recordSink{recorder: b.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "bench", Host: "n1"}), broadcaster: b}, nil
}

func (s *recordSink) add(f *oneFlow, _ uint64) {
	s.recorder.Event(podRef(f), corev1.EventTypeWarning, "PacketDrop", f.message())
}

func (s *recordSink) stop() { s.broadcaster.Shutdown() }

// eventsSink calls client-go's tools/events once for each flow and window.
type eventsSink struct {
	recorder    events.EventRecorder
	broadcaster events.EventBroadcaster
	cancel      context.CancelFunc
}

func newEventsSink(c *cluster, count *calls) (*eventsSink, error) {
	client, err := adminClient(c, count)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	if err := b.StartRecordingToSinkWithContext(ctx); err != nil {
		cancel()
		return nil, err
	}
	return &eventsSink{recorder: b.NewRecorder(scheme.Scheme, "bench"), broadcaster: b, cancel: cancel}, nil
}

func (s *eventsSink) add(f *oneFlow, _ uint64) {
	s.recorder.Eventf(podRef(f), nil, corev1.EventTypeWarning, "PacketDrop", "Drop", "%s", f.message())
}

func (s *eventsSink) stop() {
	s.cancel()
	s.broadcaster.Shutdown()
}
