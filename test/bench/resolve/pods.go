package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// cluster is a synthetic cluster. A pod is made from its number when it is needed.
type cluster struct {
	pods, nodes int
	started     time.Time
}

const podsPerWorkload = 5

func nodeName(i int) string { return fmt.Sprintf("ip-10-%03d-%03d.ec2.internal", i/250, i%250) }

func (c cluster) nodeOf(i int) int { return i % c.nodes }

// address returns the i-th pod's address, in 10.0.0.0/8.
func address(i int) netip.Addr {
	n := i + 256
	return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
}

// uid returns a UID for the i-th pod, in the usual form.
func uid(i int) types.UID {
	return types.UID(fmt.Sprintf("%08x-4c1e-4b0a-9d3f-%012x", uint32(i)*2654435761, i))
}

// pod returns the i-th pod: one of a Deployment, with one container and a sidecar. It has
// the usual size of a pod, 6 KB encoded.
func (c cluster) pod(i int) *corev1.Pod {
	app := i / podsPerWorkload
	hash := fmt.Sprintf("%09x", app*7919%0xfffffff)
	name := fmt.Sprintf("service-%d-%s-%05d", app, hash, i%100000)
	started := metav1.NewTime(c.started)
	yes := true
	p := &corev1.Pod{
		TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name, GenerateName: strings.TrimSuffix(name, name[len(name)-5:]), Namespace: fmt.Sprintf("team-%d", app%300),
			UID: uid(i), ResourceVersion: fmt.Sprint(1000000 + i), CreationTimestamp: started,
			Labels: map[string]string{
				"app.kubernetes.io/name": fmt.Sprintf("service-%d", app), "app.kubernetes.io/part-of": "shop",
				"pod-template-hash": hash, "version": "v1.24.3", "team": fmt.Sprintf("team-%d", app%300),
			},
			Annotations: map[string]string{
				"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z",
				"prometheus.io/scrape":              "true", "prometheus.io/port": "9102",
				"checksum/config": strings.Repeat("0123456789abcdef", 4),
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: fmt.Sprintf("service-%d-%s", app, hash),
				UID: uid(app), Controller: &yes, BlockOwnerDeletion: &yes,
			}},
			ManagedFields: managedFields(started),
		},
		Spec: podSpec(nodeName(c.nodeOf(i))),
	}
	p.Status = podStatus(address(i).String(), started)
	return p
}

func managedFields(t metav1.Time) []metav1.ManagedFieldsEntry {
	spec := `{"f:metadata":{"f:annotations":{".":{},"f:checksum/config":{}},"f:generateName":{},"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"0a0\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"app\"}":{".":{},` +
		strings.Repeat(`"f:env":{".":{},"k:{\"name\":\"SETTING\"}":{".":{},"f:name":{},"f:value":{}}},`, 14) +
		`"f:image":{},"f:name":{},"f:resources":{}}},"f:dnsPolicy":{},"f:restartPolicy":{}}}`
	status := `{"f:status":{"f:conditions":{` + strings.Repeat(`"k:{\"type\":\"Ready\"}":{".":{},"f:lastTransitionTime":{},"f:status":{},"f:type":{}},`, 6) +
		`"f:x":{}},"f:containerStatuses":{},"f:hostIP":{},"f:phase":{},"f:podIP":{},"f:podIPs":{".":{}},"f:startTime":{}}}`
	return []metav1.ManagedFieldsEntry{
		{Manager: "kube-controller-manager", Operation: "Update", APIVersion: "v1", Time: &t, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(spec)}},
		{Manager: "kubelet", Operation: "Update", APIVersion: "v1", Time: &t, FieldsType: "FieldsV1", FieldsV1: &metav1.FieldsV1{Raw: []byte(status)}, Subresource: "status"},
	}
}

func podSpec(node string) corev1.PodSpec {
	spec := corev1.PodSpec{
		NodeName: node, ServiceAccountName: "default", RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst,
		SchedulerName: "default-scheduler",
		Tolerations: []corev1.Toleration{
			{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute"},
			{Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute"},
		},
		Volumes: []corev1.Volume{{Name: "kube-api-access", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}}}},
		}}}},
	}
	for i, name := range []string{"app", "sidecar"} {
		port := int32(8080 + i)
		c := corev1.Container{
			Name: name, Image: "registry.example.com/shop/" + name + ":v1.24.3", ImagePullPolicy: corev1.PullIfNotPresent,
			Ports: []corev1.ContainerPort{{Name: "http-" + name, ContainerPort: port, Protocol: "TCP"}},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("128Mi")},
				Limits:   corev1.ResourceList{"memory": resource.MustParse("256Mi")},
			},
			VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true}},
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(port)}},
				PeriodSeconds: 10, TimeoutSeconds: 1, FailureThreshold: 3},
		}
		for n := range 12 {
			c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("SETTING_NUMBER_%d", n), Value: "https://service.shop.svc.cluster.local:8443/v1"})
		}
		spec.Containers = append(spec.Containers, c)
	}
	return spec
}

func podStatus(ip string, started metav1.Time) corev1.PodStatus {
	s := corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, HostIP: "192.168.0.1",
		HostIPs: []corev1.HostIP{{IP: "192.168.0.1"}}, StartTime: &started, QOSClass: corev1.PodQOSBurstable}
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: started})
	}
	for _, name := range []string{"app", "sidecar"} {
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: name, Ready: true, Image: "registry.example.com/shop/" + name + ":v1.24.3",
			ImageID:     "registry.example.com/shop/" + name + "@sha256:" + strings.Repeat("0123456789abcdef", 4),
			ContainerID: "containerd://" + strings.Repeat("0123456789abcdef", 4),
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
		})
	}
	return s
}
