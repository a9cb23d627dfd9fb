//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

// namespace holds the application pods.
const namespace = "kube-nflog-e2e"

// pod is a pod of the application.
type pod struct{ name, ip string }

func (p pod) String() string { return fmt.Sprintf("%s/%s (%s)", namespace, p.name, p.ip) }

// startPods starts pods with these names on the node, and waits until they are ready. It
// removes them after the test.
func startPods(ctx context.Context, t *testing.T, k kubectl, n node, s settings, names ...string) []pod {
	t.Helper()
	k.must(ctx, t, "create", "namespace", namespace)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if _, err := k.run(ctx, "delete", "namespace", namespace, "--wait"); err != nil {
			t.Error(err)
		}
	})
	// A pod needs the namespace's service account, which a controller creates.
	eventually(ctx, t, 30*time.Second, func(ctx context.Context) error {
		_, err := k.run(ctx, "get", "serviceaccount", "-n", namespace, "default")
		return err
	})
	for _, name := range names {
		if _, err := k.apply(ctx, manifest(t, name, n, s), "create", "-f", "-"); err != nil {
			t.Fatal(err)
		}
	}
	pods := make([]pod, 0, len(names))
	for _, name := range names {
		k.must(ctx, t, "wait", "-n", namespace, "--for=condition=Ready", "pod/"+name, "--timeout=2m")
		ip := k.must(ctx, t, "get", "pod", "-n", namespace, name, "-o", "jsonpath={.status.podIP}")
		pods = append(pods, pod{name: name, ip: ip})
	}
	return pods
}

// manifest returns a pod that serves on port 8080. It names its node, without the
// scheduler, so that taints do not matter.
func manifest(t *testing.T, name string, n node, s settings) string {
	t.Helper()
	type object = map[string]any
	text, err := json.Marshal(object{
		"apiVersion": "v1",
		"kind":       "Pod",
		"metadata":   object{"name": name, "namespace": namespace},
		"spec": object{
			"nodeName":                      n.name,
			"tolerations":                   []object{{"operator": "Exists"}},
			"automountServiceAccountToken":  false,
			"terminationGracePeriodSeconds": 1,
			"containers": []object{{
				"name":            "app",
				"image":           s.podImage,
				"imagePullPolicy": "IfNotPresent",
				"args":            s.podServe,
				"readinessProbe":  object{"tcpSocket": object{"port": 8080}, "periodSeconds": 1},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// dial connects from the pod to the address, and returns an error if it cannot.
func (p pod) dial(ctx context.Context, k kubectl, s settings, address string) error {
	args := append([]string{"exec", "-n", namespace, p.name, "--"}, s.podDial...)
	_, err := k.run(ctx, append(args, address)...)
	return err
}
