package resolve

import (
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/resolve"
	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

func TestAddressReusedWithinASecond(t *testing.T) {
	r := start(t, resolve.Config{})
	before := create(t, controlplane.Pod{Name: "before", Addresses: []netip.Addr{addr("10.1.0.5")}})
	eventually(t, r, "10.1.0.5", time.Now().Add(-10*time.Second), before)
	deleted := time.Now()
	remove(t, "before")
	after := create(t, controlplane.Pod{Name: "after", Addresses: []netip.Addr{addr("10.1.0.5")}, Started: deleted.Add(time.Second / 2)})
	eventually(t, r, "10.1.0.5", time.Now().Add(3*time.Second), after)

	is(t, r, "10.1.0.5", deleted.Add(-4*time.Second), before)
	for _, d := range []time.Duration{-time.Second, 0, time.Second} {
		if got := r.Lookup(addr("10.1.0.5"), deleted.Add(d)); !got.Ambiguous || got.Kind != resolve.Unknown {
			t.Errorf("%v from the change of owners: %+v, want ambiguous", d, got)
		}
	}
}

func TestFinishedJob(t *testing.T) {
	r := start(t, resolve.Config{})
	yes := true
	job := create(t, controlplane.Pod{Name: "report-29384750-x7k2p", Addresses: []netip.Addr{addr("10.1.0.6")},
		Owners: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "report-29384750", UID: "1", Controller: &yes}}})
	job.Workload = "CronJob/report"
	ended := time.Now().Add(-20 * time.Second)
	eventually(t, r, "10.1.0.6", time.Now(), job)

	setStatus(t, job.Name, func(s *corev1.PodStatus) {
		s.Phase = corev1.PodSucceeded
		s.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: metav1.NewTime(ended)}}
	})
	eventually(t, r, "10.1.0.6", time.Now(), resolve.Endpoint{})
	is(t, r, "10.1.0.6", ended.Add(-5*time.Second), job)
}

func TestHostNetworkBesideOrdinary(t *testing.T) {
	r := start(t, resolve.Config{})
	create(t, controlplane.Pod{Name: "host", HostNetwork: true, Addresses: []netip.Addr{addr("192.0.2.1")}})
	ordinary := create(t, controlplane.Pod{Name: "ordinary", Addresses: []netip.Addr{addr("10.1.0.7")}})
	eventually(t, r, "10.1.0.7", time.Now(), ordinary)
	is(t, r, "192.0.2.1", time.Now(), resolve.Endpoint{Kind: resolve.Node, Name: thisNode})
	is(t, r, "2001:db8::1", time.Now(), resolve.Endpoint{Kind: resolve.Node, Name: thisNode})
}

func TestSecondFamily(t *testing.T) {
	r := start(t, resolve.Config{})
	dual := create(t, controlplane.Pod{Name: "dual", Addresses: []netip.Addr{addr("10.1.0.8"), addr("fd00:1::8")}})
	eventually(t, r, "fd00:1::8", time.Now(), dual)
	is(t, r, "10.1.0.8", time.Now(), dual)
}

// TestEarlyPacket looks up an address before the pod's status has it. The flow waits until
// the status has the address.
func TestEarlyPacket(t *testing.T) {
	r := start(t, resolve.Config{})
	early := create(t, controlplane.Pod{Name: "early", Started: time.Now().Add(-4 * time.Second)})
	seen, address := time.Now(), addr("10.1.0.9")
	waits(t, r, address.String(), seen)
	setStatus(t, "early", func(s *corev1.PodStatus) {
		s.PodIP, s.PodIPs = address.String(), []corev1.PodIP{{IP: address.String()}}
	})
	if diff := differs(early, waitFor(t, r, address.String(), seen)); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
}

func TestServices(t *testing.T) {
	made, err := shared.Client().CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "api"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}, ExternalIPs: []string{"198.51.100.7"}, Type: corev1.ServiceTypeLoadBalancer},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	made.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.8"}}
	if _, err := shared.Client().CoreV1().Services(namespace).UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r := start(t, resolve.Config{})
	want := resolve.Endpoint{Kind: resolve.Service, Namespace: namespace, Name: "api"}
	for _, address := range []string{made.Spec.ClusterIP, "198.51.100.8"} {
		eventually(t, r, address, time.Now(), want)
	}
	is(t, r, "198.51.100.7", time.Now(), resolve.Endpoint{Kind: resolve.External}) // everybody may write externalIPs
	without := start(t, resolve.Config{NoServices: true})
	is(t, without, made.Spec.ClusterIP, time.Now().Add(-time.Minute), resolve.Endpoint{Kind: resolve.External})
}

// TestAPIServerRestarted stops the API server. Answers stay the same meanwhile. After its
// return the resolver takes in what has changed, and does not guess what it may have
// missed.
func TestAPIServerRestarted(t *testing.T) {
	r := start(t, resolve.Config{})
	stays := create(t, controlplane.Pod{Name: "stays", Addresses: []netip.Addr{addr("10.1.0.20")}})
	goes := create(t, controlplane.Pod{Name: "goes", Addresses: []netip.Addr{addr("10.1.0.21")}})
	eventually(t, r, "10.1.0.21", time.Now().Add(-10*time.Second), goes)
	seen := time.Now()
	if err := shared.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	is(t, r, "10.1.0.20", time.Now().Add(-10*time.Second), stays)
	if err := shared.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	remove(t, "goes")
	comes := create(t, controlplane.Pod{Name: "comes", Addresses: []netip.Addr{addr("10.1.0.21")}, Started: time.Now()})

	eventually(t, r, "10.1.0.21", time.Now().Add(10*time.Second), comes)
	is(t, r, "10.1.0.20", time.Now(), stays)
	is(t, r, "10.1.0.21", seen.Add(-10*time.Second), goes)
}

// setStatus changes a pod's status.
func setStatus(t *testing.T, name string, change func(*corev1.PodStatus)) {
	t.Helper()
	pods := shared.Client().CoreV1().Pods(namespace)
	p, err := pods.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	change(&p.Status)
	if _, err := pods.UpdateStatus(t.Context(), p, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}
