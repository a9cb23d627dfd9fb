//go:build linux

package main

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// kubeClients makes the clients that the options ask for.
func kubeClients(o *options) (c clients, err error) {
	cfg, err := kubeConfig(o)
	if err != nil || cfg == nil {
		return clients{}, err
	}
	if c.core, err = kubeClient(cfg, "/api", corev1.SchemeGroupVersion, corev1.AddToScheme); err != nil || !o.explain {
		return c, err
	}
	c.networking, err = kubeClient(cfg, "/apis", networkingv1.SchemeGroupVersion, networkingv1.AddToScheme)
	return c, err
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
