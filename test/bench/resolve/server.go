package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/kube-nflog/kube-nflog/test/framework/coreapi"
)

// server answers watches of a synthetic cluster like an API server that streams its
// lists: initial events in protobuf, then the bookmark, then nothing. It runs in its own
// process, so that its memory is not measured.
type server struct {
	cluster cluster
	info    runtime.SerializerInfo
	codecs  serializer.CodecFactory
}

// serve prints the server's URL and serves until the process is killed.
func serve(ctx context.Context, c cluster, out io.Writer) error {
	scheme, err := coreapi.Scheme()
	if err != nil {
		return err
	}
	s := &server{cluster: c, codecs: serializer.NewCodecFactory(scheme)}
	info, ok := runtime.SerializerInfoForMediaType(s.codecs.SupportedMediaTypes(), runtime.ContentTypeProtobuf)
	if !ok {
		return fmt.Errorf("no serializer for %s", runtime.ContentTypeProtobuf)
	}
	s.info = info
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("serve the synthetic cluster: %w", err)
	}
	if _, err := fmt.Fprintf(out, "http://%s\n", l.Addr()); err != nil {
		return err
	}
	return http.Serve(l, s)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("watch") == "" {
		http.Error(w, "this server streams its lists", http.StatusUnprocessableEntity)
		return
	}
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf+";stream=watch")
	frames := s.info.StreamSerializer.Framer.NewFrameWriter(w)
	var err error
	switch {
	case q.Get("sendInitialEvents") != "true":
	case strings.HasSuffix(r.URL.Path, "/pods"):
		err = s.pods(frames, strings.TrimPrefix(q.Get("fieldSelector"), "spec.nodeName="))
	case strings.HasSuffix(r.URL.Path, "/nodes"):
		err = s.nodes(frames, strings.TrimPrefix(q.Get("fieldSelector"), "metadata.name="))
	default:
		err = s.end(frames, &corev1.Service{TypeMeta: metav1.TypeMeta{Kind: "Service", APIVersion: "v1"}})
	}
	if err != nil { // the client has gone
		return
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	<-r.Context().Done()
}

func (s *server) pods(w io.Writer, node string) error {
	for i := range s.cluster.pods {
		if node != "" && nodeName(s.cluster.nodeOf(i)) != node {
			continue
		}
		if err := s.send(w, watch.Added, s.cluster.pod(i)); err != nil {
			return err
		}
	}
	return s.end(w, &corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}})
}

func (s *server) nodes(w io.Writer, name string) error {
	for i := range s.cluster.nodes {
		if name != "" && nodeName(i) != name {
			continue
		}
		n := &corev1.Node{
			TypeMeta:   metav1.TypeMeta{Kind: "Node", APIVersion: "v1"},
			ObjectMeta: metav1.ObjectMeta{Name: nodeName(i), ResourceVersion: "1"},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("172.16.%d.%d", i/250, i%250)},
			}},
		}
		if err := s.send(w, watch.Added, n); err != nil {
			return err
		}
	}
	return s.end(w, &corev1.Node{TypeMeta: metav1.TypeMeta{Kind: "Node", APIVersion: "v1"}})
}

// end sends the bookmark that ends the initial events.
func (s *server) end(w io.Writer, o interface {
	runtime.Object
	metav1.Object
}) error {
	o.SetResourceVersion("9000000")
	o.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	return s.send(w, watch.Bookmark, o)
}

func (s *server) send(w io.Writer, kind watch.EventType, o runtime.Object) error {
	raw, err := runtime.Encode(s.codecs.EncoderForVersion(s.info.Serializer, corev1.SchemeGroupVersion), o)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return s.info.StreamSerializer.Encode(&metav1.WatchEvent{Type: string(kind), Object: runtime.RawExtension{Raw: raw}}, w)
}
