package resolve

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

func noon() time.Time { return time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC) }

// madePod returns a running pod of node n1 with the addresses, ready at noon().
func madePod(name string, ips ...string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), ResourceVersion: "7"},
		Spec:       corev1.PodSpec{NodeName: "n1"},
		Status: corev1.PodStatus{
			Phase:     corev1.PodRunning,
			StartTime: at(-5 * time.Second),
			Conditions: []corev1.PodCondition{{
				Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionTrue, LastTransitionTime: *at(0),
			}},
		},
	}
	for i, ip := range ips {
		if i == 0 {
			p.Status.PodIP = ip
		}
		p.Status.PodIPs = append(p.Status.PodIPs, corev1.PodIP{IP: ip})
	}
	return p
}

// at returns the time d after noon().
func at(d time.Duration) *metav1.Time { return &metav1.Time{Time: noon().Add(d)} }

func finish(p *corev1.Pod, d time.Duration) *corev1.Pod {
	p.Status.Phase = corev1.PodSucceeded
	p.Status.ContainerStatuses = []corev1.ContainerStatus{
		{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: *at(d - time.Second)}}},
		{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: *at(d)}}},
	}
	return p
}

func change(p *corev1.Pod, how func(*corev1.Pod)) *corev1.Pod {
	how(p)
	return p
}

func TestPodAddresses(t *testing.T) {
	calico := func(value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Annotations = map[string]string{annotationCalico: value} }
	}
	deleted := func(p *corev1.Pod) { p.DeletionTimestamp = at(time.Minute) }
	type addrs struct {
		Status, Announced []string
		Cut               cuts
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want addrs
	}{
		"none yet":     {madePod("a"), addrs{}},
		"one":          {madePod("a", "10.0.0.5"), addrs{Status: []string{"10.0.0.5"}}},
		"two families": {madePod("a", "10.0.0.5", "fd00::5"), addrs{Status: []string{"10.0.0.5", "fd00::5"}}},
		"podIP alone": {change(madePod("a"), func(p *corev1.Pod) { p.Status.PodIP = "10.0.0.5" }),
			addrs{Status: []string{"10.0.0.5"}}},
		"host network": {change(madePod("a", "10.0.0.5"), func(p *corev1.Pod) { p.Spec.HostNetwork = true }), addrs{}},
		"no address":   {madePod("a", "localhost", "0.0.0.0", "10.0.0.5"), addrs{Status: []string{"10.0.0.5"}}},
		"IPv4-mapped":  {madePod("a", "::ffff:10.0.0.5"), addrs{Status: []string{"10.0.0.5"}}},
		"too many": {madePod("a", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8", "10.0.0.9"),
			addrs{Status: []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7", "10.0.0.8"}, Cut: cutAddrs}},
		"Calico before status":       {change(madePod("a"), calico("10.0.0.5/32, fd00::5/128")), addrs{Announced: []string{"10.0.0.5", "fd00::5"}}},
		"Calico as status":           {change(madePod("a", "10.0.0.5"), calico("10.0.0.5/32")), addrs{Status: []string{"10.0.0.5"}}},
		"Calico against the status":  {change(madePod("a", "10.0.0.5"), calico("10.0.0.6/32")), addrs{Status: []string{"10.0.0.5"}}},
		"Calico, two of one family":  {change(madePod("a"), calico("10.0.0.5/32,10.0.0.6/32")), addrs{Cut: cutAnnounced}},
		"Calico, far too many":       {change(madePod("a"), calico(strings.Repeat("10.0.0.5/32,", 20_000))), addrs{Cut: cutAnnounced}},
		"Calico, emptied":            {change(madePod("a", "10.0.0.5"), calico("")), addrs{Status: []string{"10.0.0.5"}}},
		"Calico, emptied at the end": {change(change(madePod("a", "10.0.0.5"), calico("")), deleted), addrs{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(tt.pod, "")
			got := addrs{Cut: p.cuts}
			for a := range p.addrs() {
				got.Status = append(got.Status, a.String())
			}
			for a := range p.announced() {
				got.Announced = append(got.Announced, a.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("addresses (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStamps(t *testing.T) {
	type stamps struct {
		From, Finished int64
		Ready          bool
	}
	noCondition := func(p *corev1.Pod) { p.Status.Conditions = nil }
	tests := map[string]struct {
		pod  *corev1.Pod
		want stamps
	}{
		"network ready": {madePod("a"), stamps{From: noon().UnixNano(), Ready: true}},
		"no condition":  {change(madePod("a"), noCondition), stamps{From: at(-5 * time.Second).UnixNano()}},
		"not started": {change(madePod("a"), func(p *corev1.Pod) {
			noCondition(p)
			p.Status.StartTime = nil
		}), stamps{}},
		"finished": {finish(madePod("a"), time.Minute), stamps{noon().UnixNano(), at(time.Minute).Unix(), true}},
		"being deleted": {change(madePod("a"), func(p *corev1.Pod) { p.DeletionTimestamp = at(time.Second) }),
			stamps{From: noon().UnixNano(), Ready: true}},
		"evicted, no container": {change(madePod("a"), func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodFailed
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: *at(9 * time.Second)}}
		}), stamps{From: at(-5 * time.Second).UnixNano(), Finished: at(9 * time.Second).Unix()}},
		"failed, nothing stamped": {&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodFailed}}, stamps{Finished: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			from, ready := startedAt(tt.pod)
			if diff := cmp.Diff(tt.want, stamps{from, int64(finishedAt(tt.pod)), ready}); diff != "" {
				t.Errorf("stamps (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWorkload(t *testing.T) {
	controlled := func(kind, name, hash string) *corev1.Pod {
		yes := true
		p := madePod("a")
		p.Labels = map[string]string{"pod-template-hash": hash}
		p.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, Controller: &yes}}
		return p
	}
	tests := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"nobody's":          {madePod("a"), ""},
		"Deployment":        {controlled("ReplicaSet", "frontend-5b9c", "5b9c"), "shop/Deployment/frontend"},
		"bare ReplicaSet":   {controlled("ReplicaSet", "frontend-5b9c", ""), "shop/ReplicaSet/frontend-5b9c"},
		"hash is no suffix": {controlled("ReplicaSet", "frontend", "5b9c"), "shop/ReplicaSet/frontend"},
		"CronJob":           {controlled("Job", "report-29384750", ""), "shop/CronJob/report"},
		"Job":               {controlled("Job", "batch-2", ""), "shop/Job/batch-2"},
		"Job, no number":    {controlled("Job", "migrate-database", ""), "shop/Job/migrate-database"},
		"StatefulSet":       {controlled("StatefulSet", "db", ""), "shop/StatefulSet/db"},
		"DaemonSet":         {controlled("DaemonSet", "agent", ""), "shop/DaemonSet/agent"},
		"mirror pod":        {controlled("Node", "n1", ""), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := WorkloadOf(tt.pod); got != tt.want {
				t.Errorf("WorkloadOf = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPodText(t *testing.T) {
	o := madePod("frontend-5b9", "10.0.0.5")
	o.Labels = map[string]string{"app": "front"}
	o.Annotations = map[string]string{annotationMirror: "c0ffee", annotationEvents: "false"}
	p := newPod(o, "app")
	got := map[string]string{
		"key": p.key(), "namespace": p.namespace(), "name": p.name(), "uid": p.uid(),
		"eventUID": p.eventUID(), "label": p.label(), "workload": p.workloadName(),
	}
	want := map[string]string{
		"key": "shop/frontend-5b9", "namespace": "shop", "name": "frontend-5b9", "uid": "uid-frontend-5b9",
		"eventUID": "c0ffee", "label": "front", "workload": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if p.events != unwanted {
		t.Error("events are not disabled")
	}
	if plain := newPod(madePod("b"), "app"); plain.eventUID() != "uid-b" || plain.events != unsaid {
		t.Errorf("plain pod: event UID %q, events %v", plain.eventUID(), plain.events)
	}
}

func TestIdentifier(t *testing.T) {
	yes := true
	o := madePod("frontend-5b9")
	o.Labels = map[string]string{"app": "front", "pod-template-hash": "5b9"}
	o.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: "frontend-5b9", Controller: &yes}}
	p, bare := newPod(o, "app"), newPod(madePod("bare"), "app")
	tests := map[string]struct {
		kind             IdentifierKind
		want, wantOfBare string
	}{
		"name with namespace": {NameWithNamespace, "shop/frontend-5b9", "shop/bare"},
		"name":                {NameOnly, "frontend-5b9", "bare"},
		"namespace":           {NamespaceOnly, "shop", "shop"},
		"label":               {LabelValue, "front", "shop/bare"},
		"workload":            {WorkloadName, "shop/Deployment/frontend", "shop/bare"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := p.identifier(tt.kind); got != tt.want {
				t.Errorf("identifier = %q, want %q", got, tt.want)
			}
			if got := bare.identifier(tt.kind); got != tt.wantOfBare {
				t.Errorf("bare pod's identifier = %q, want %q", got, tt.wantOfBare)
			}
		})
	}
}

// TestStoreKey checks that the store's key is the one that client-go computes from the full
// object, and that it shares the record's memory.
func TestStoreKey(t *testing.T) {
	o := madePod("frontend-5b9", "10.0.0.5")
	want, err := cache.MetaNamespaceKeyFunc(o)
	if err != nil {
		t.Fatal(err)
	}
	p := newPod(o, "")
	got, err := cache.MetaNamespaceKeyFunc(p)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("key = %q, want %q", got, want)
	}
	if v := p.GetObjectMeta().GetResourceVersion(); v != "7" {
		t.Errorf("resource version = %q, want 7", v)
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
