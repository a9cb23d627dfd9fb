package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// Clients are clients of the API groups that are used. Each is nil where there
// is no cluster. They are bare REST clients: client-go's clientset would bring
// the types of every API group into the binary and its memory, and a handful of
// them are needed.
type Clients struct{ Core, Networking rest.Interface }

// NewClients makes the clients. cfg may be nil: there is no cluster then.
func NewClients(cfg *rest.Config) (c Clients, err error) {
	if cfg == nil {
		return Clients{}, nil
	}
	if c.Core, err = newClient(cfg, "/api", corev1.SchemeGroupVersion, corev1.AddToScheme); err != nil {
		return Clients{}, err
	}
	c.Networking, err = newClient(cfg, "/apis", networkingv1.SchemeGroupVersion, networkingv1.AddToScheme)
	return c, err
}

// newClient makes a client of one API group.
func newClient(cfg *rest.Config, path string, group schema.GroupVersion, register func(*runtime.Scheme) error) (rest.Interface, error) {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, group)
	if err := register(scheme); err != nil {
		return nil, fmt.Errorf("register the types of %s: %w", group, err)
	}
	cfg = rest.CopyConfig(cfg)
	cfg.APIPath, cfg.GroupVersion = path, &group
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	cfg.ContentType = runtime.ContentTypeProtobuf
	cfg.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	cfg.QPS = -1 // no limit here: the emitter limits writes, and reads are a few watches
	client, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	return client, nil
}
