package explain

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/kube-nflog/kube-nflog/policy"
	"github.com/kube-nflog/kube-nflog/resolve"
)

// without names what is missing if the API server forbids a source.
const without = "NetworkPolicies in explanations; --explain=false asks for none"

// policySource keeps compiled policies in the informer's store. The Set shares them.
func (e *Explainer) policySource(client rest.Interface) resolve.Source {
	put := func(obj any) {
		if r, ok := obj.(*policy.Compiled); ok {
			e.policies.Put(r)
		}
	}
	return resolve.Source{
		Client: client, Resource: "networkpolicies", Without: without, Object: &networkingv1.NetworkPolicy{},
		Transform: func(obj any) (any, error) {
			o, ok := obj.(*networkingv1.NetworkPolicy)
			if !ok {
				return obj, nil // it is compiled already
			}
			r, err := policy.Compile(o)
			if err != nil {
				e.cfg.Logger.Warn("a part of a NetworkPolicy is invalid and matches nothing", "error", err)
			}
			if r.Cut() {
				e.cfg.Logger.Warn("a NetworkPolicy has too many rules, peers, ports or selector values; what only the rest may allow is not decided",
					"namespace", o.Namespace, "name", o.Name)
			}
			return r, nil
		},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    put,
			UpdateFunc: func(_, obj any) { put(obj) },
			DeleteFunc: func(obj any) {
				if namespace, name, ok := keyOf(obj); ok {
					e.policies.Delete(namespace, name)
				}
			},
		},
	}
}

// namespaceSource keeps the names and labels of namespaces.
func (e *Explainer) namespaceSource(client rest.Interface) resolve.Source {
	put := func(obj any) {
		if o, ok := obj.(*metav1.PartialObjectMetadata); ok {
			e.policies.PutNamespace(o.Name, o.Labels)
		}
	}
	return resolve.Source{
		Client: client, Resource: "namespaces", Without: without, Object: &corev1.Namespace{},
		Transform: func(obj any) (any, error) {
			o, ok := obj.(*corev1.Namespace)
			if !ok {
				return obj, nil
			}
			return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
				Name: strings.Clone(o.Name), ResourceVersion: o.ResourceVersion, Labels: o.Labels,
			}}, nil
		},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    put,
			UpdateFunc: func(_, obj any) { put(obj) },
			DeleteFunc: func(obj any) {
				if _, name, ok := keyOf(obj); ok {
					e.policies.DeleteNamespace(name)
				}
			},
		},
	}
}

func keyOf(obj any) (namespace, name string, ok bool) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return "", "", false
	}
	namespace, name, err = cache.SplitMetaNamespaceKey(key)
	return namespace, name, err == nil
}
