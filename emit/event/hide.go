package event

import (
	"strings"

	"github.com/kube-nflog/kube-nflog/resolve"
)

// hide returns a peer as an event in a namespace may tell of it where
// namespaces are hidden from each other: pods and Services of other namespaces by their namespace
// and address alone. All that an event is made of comes from what this returns,
// its object's name too: that is a hash, by which a name could be guessed.
func hide(namespace string, peer *resolve.Endpoint) *resolve.Endpoint {
	switch peer.Kind {
	case resolve.Pod, resolve.Service:
		if peer.Namespace == namespace {
			return peer
		}
		return &resolve.Endpoint{IP: peer.IP, Kind: peer.Kind, Namespace: peer.Namespace, Identifier: peer.Namespace}
	}
	if owner := namespaceOfName(peer.Name); peer.Kind == resolve.External && owner != "" && owner != namespace {
		nameless := *peer
		nameless.Name = ""
		return &nameless
	}
	return peer
}

// namespaceOfName returns the namespace in a name that the cluster's own DNS
// gives, "" for another name: api.shop.svc.cluster.local,
// 10-0-1-7.api.shop.svc.cluster.local, 10-0-1-7.shop.pod.cluster.local.
func namespaceOfName(name string) string {
	labels := strings.Split(name, ".")
	for i := len(labels) - 2; i > 0; i-- {
		if labels[i] == "svc" || labels[i] == "pod" {
			return labels[i-1]
		}
	}
	return ""
}
