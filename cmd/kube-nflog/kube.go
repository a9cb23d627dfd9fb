package main

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// clients are clients of the API groups that are used, each nil where there is
// no cluster and none is needed. They are bare REST clients: the clientsets
// would bring every API group's types into the binary and its memory, and the
// agent needs a handful of these.
type clients struct{ core, networking rest.Interface }

// kubeClient makes a client of one API group.
func kubeClient(cfg *rest.Config, path string, group schema.GroupVersion, register func(*runtime.Scheme) error) (rest.Interface, error) {
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
	cfg.UserAgent = "kube-nflog/" + version
	cfg.QPS = -1 // writes have the emitter's budget, reads are a few watches
	client, err := rest.RESTClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	return client, nil
}
