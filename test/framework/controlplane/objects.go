package controlplane

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pod says what CreatePod creates. No kubelet runs the pod. CreatePod sets its status to
// that of a running pod.
type Pod struct {
	Namespace, Name string
	Node            string       // the node it runs on
	Addresses       []netip.Addr // status.podIPs, the first one status.podIP
	HostNetwork     bool         // the pod shares the node's network; Addresses are the node's
	HostAddress     netip.Addr   // status.hostIP; not set if it is invalid
	Ports           []corev1.ContainerPort
	Labels          map[string]string
	Annotations     map[string]string
	Owners          []metav1.OwnerReference
	// Started is the start time in the status; the zero value means a minute ago. If a
	// pod started within the last seconds, the owner of its address may be uncertain.
	Started time.Time
}

// CreateNamespace creates a namespace.
func (c *ControlPlane) CreateNamespace(ctx context.Context, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	return nil
}

// CreateNode creates a Node with the addresses as its InternalIPs.
func (c *ControlPlane) CreateNode(ctx context.Context, name string, addresses ...netip.Addr) error {
	node, err := c.client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create node: %w", err)
	}
	for _, a := range addresses {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a.String()})
	}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastTransitionTime: metav1.Now()}}
	if _, err := c.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("set status of node %s: %w", name, err)
	}
	return nil
}

// CreatePod creates a pod and sets its status to running, with its addresses. It returns
// the object as the API server has it.
func (c *ControlPlane) CreatePod(ctx context.Context, p Pod) (*corev1.Pod, error) {
	pods := c.client.CoreV1().Pods(p.Namespace)
	pod, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Labels: p.Labels, Annotations: p.Annotations, OwnerReferences: p.Owners},
		Spec: corev1.PodSpec{
			NodeName: p.Node, HostNetwork: p.HostNetwork,
			Containers: []corev1.Container{{Name: "app", Image: "example.com/app:1.0", Ports: p.Ports}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create pod: %w", err)
	}
	started := p.Started
	if started.IsZero() {
		started = time.Now().Add(-time.Minute)
	}
	pod.Status = running(p.Addresses, metav1.NewTime(started))
	if p.HostAddress.IsValid() {
		pod.Status.HostIP = p.HostAddress.String()
		pod.Status.HostIPs = []corev1.HostIP{{IP: pod.Status.HostIP}}
	}
	pod, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("set status of pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	return pod, nil
}

// running returns the status that a kubelet reports for a running pod.
func running(addresses []netip.Addr, started metav1.Time) corev1.PodStatus {
	status := corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started}
	for _, condition := range []corev1.PodConditionType{
		corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: started})
	}
	yes := true
	status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "app", Image: "example.com/app:1.0", Ready: true, Started: &yes,
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
	}}
	for i, a := range addresses {
		if i == 0 {
			status.PodIP = a.String()
		}
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: a.String()})
	}
	return status
}
