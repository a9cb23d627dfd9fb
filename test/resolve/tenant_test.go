package resolve

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

const podIPs = "cni.projectcalico.org/podIPs"

// announce creates a pod without an address in its status, as a tenant may do. Its
// annotation is the one by which Calico announces addresses.
func announce(t *testing.T, name, addresses string) {
	t.Helper()
	pods := shared.Client().CoreV1().Pods(namespace)
	_, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{podIPs: addresses}},
		Spec:       corev1.PodSpec{NodeName: thisNode, Containers: []corev1.Container{{Name: "app", Image: "example.com/app:1.0"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, name) })
}

// runCalico writes to the Node what calico-node writes, until the test ends.
func runCalico(t *testing.T) {
	t.Helper()
	patch := func(ctx context.Context, value string) error {
		_, err := shared.Client().CoreV1().Nodes().Patch(ctx, thisNode, types.MergePatchType,
			[]byte(`{"metadata":{"annotations":{"projectcalico.org/IPv4Address":`+value+`}}}`), metav1.PatchOptions{}, "status")
		return err
	}
	if err := patch(t.Context(), `"192.0.2.1/24"`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := patch(context.WithoutCancel(t.Context()), "null"); err != nil {
			t.Error(err)
		}
	})
}

// TestHostileTenant lets a tenant announce the addresses of a pod, a node and an outside
// host. None of them is taken. A pod that is starting has the address that it announces.
func TestHostileTenant(t *testing.T) {
	runCalico(t)
	r := start(t, resolve.Config{})
	victim := create(t, controlplane.Pod{Name: "victim", Addresses: []netip.Addr{addr("10.1.0.40")}})
	announce(t, "evil-pod", "10.1.0.40/32")
	announce(t, "evil-node", "192.0.2.1/32")
	announce(t, "evil-host", "198.51.100.40/32")
	announce(t, "evil-many", strings.TrimSuffix(strings.Repeat("10.1.0.42,", 20_000), ","))
	announce(t, "evil-early", "10.1.0.43/32")
	announce(t, "late-victim", "10.1.0.43/32")
	_, err := shared.Client().CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "evil"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}},
			ExternalIPs: []string{"10.1.0.40", "192.0.2.1", "198.51.100.40", "10.1.0.42", "10.1.0.43"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	announce(t, "starting", "10.1.0.41/32") // the last pod: when it is known, the ones before it are known too
	starting := resolve.Endpoint{Kind: resolve.Pod, Namespace: namespace, Name: "starting", NodeName: thisNode, Identifier: namespace + "/starting"}
	// The watch has to be proven since the time in which another claim may come.
	const ago = 6 * time.Second
	var seen time.Time
	until(t, func() string {
		seen = time.Now()
		got := r.Lookup(addr("10.1.0.41"), seen.Add(-ago))
		starting.UID = got.UID
		return differs(starting, got)
	})

	is(t, r, "10.1.0.40", seen.Add(-2*time.Second), victim) // the watch is proven up to this time
	is(t, r, "192.0.2.1", seen, resolve.Endpoint{Kind: resolve.Node, Name: thisNode})
	is(t, r, "198.51.100.40", seen, resolve.Endpoint{Kind: resolve.External})
	for _, address := range []string{"10.1.0.42", "10.1.0.43"} {
		if got := r.Lookup(addr(address), seen.Add(-ago)); got.Kind == resolve.Pod || got.Kind == resolve.Service {
			t.Errorf("%s is %+v, want no pod or Service", address, got)
		}
	}
	setStatus(t, "late-victim", func(s *corev1.PodStatus) {
		s.Phase, s.PodIP, s.PodIPs = corev1.PodRunning, "10.1.0.43", []corev1.PodIP{{IP: "10.1.0.43"}}
		s.StartTime = &metav1.Time{Time: seen.Add(-time.Minute)}
	})
	until(t, func() string {
		if got := r.Lookup(addr("10.1.0.43"), seen); got.Name != "late-victim" {
			return "the pod whose status has 10.1.0.43 is not its owner, but " + got.Name
		}
		return ""
	})
}
