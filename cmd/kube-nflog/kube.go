package main

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// kubeClient returns a client of the core API, nil where there is no cluster
// and none is needed. It is a bare REST client: the clientsets would bring
// every API group's types into the binary and its memory, and the agent needs
// a handful of this one's.
func kubeClient(o *options) (rest.Interface, error) {
	cfg, err := kubeConfig(o)
	if err != nil || cfg == nil {
		return nil, err
	}
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, corev1.SchemeGroupVersion)
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register the core API's types: %w", err)
	}
	cfg.APIPath, cfg.GroupVersion = "/api", &corev1.SchemeGroupVersion
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

// kubeConfig finds the API server: by --kubeconfig or --kube-api-server, else
// the service account. Without either it is an error to want events.
func kubeConfig(o *options) (*rest.Config, error) {
	if o.kubeconfig != "" || o.apiServer != "" {
		return explicitConfig(o)
	}
	cfg, err := rest.InClusterConfig()
	switch {
	case err == nil:
		return cfg, nil
	case !errors.Is(err, rest.ErrNotInCluster):
		return nil, fmt.Errorf("use the service account: %w", err)
	case o.events:
		return nil, usageError{errors.New("events need a cluster: give --kubeconfig, or turn them off by --events=false")}
	}
	return nil, nil
}

// explicitConfig reads --kubeconfig; --kube-api-server alone goes with the
// service account's token.
func explicitConfig(o *options) (*rest.Config, error) {
	if o.kubeconfig == "" {
		cfg, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			cfg, err = &rest.Config{}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("use the service account: %w", err)
		}
		cfg.Host = o.apiServer
		return cfg, nil
	}
	cfg, err := clientcmd.BuildConfigFromFlags(o.apiServer, o.kubeconfig)
	if err != nil {
		return nil, usageError{fmt.Errorf("--kubeconfig: %w", err)}
	}
	return cfg, nil
}
