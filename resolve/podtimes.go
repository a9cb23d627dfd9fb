package resolve

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// startedAt returns the time since which the pod had its addresses, in Unix nanoseconds,
// and whether this is the time when its network was ready. Without that condition (clusters
// before 1.29) it is the time when the kubelet accepted the pod. Without either it is 0.
func startedAt(o *corev1.Pod) (from int64, ready bool) {
	if c := condition(o, corev1.PodReadyToStartContainers); c != nil && c.Status == corev1.ConditionTrue && !c.LastTransitionTime.IsZero() {
		return c.LastTransitionTime.UnixNano(), true
	}
	if t := o.Status.StartTime; t != nil && !t.IsZero() {
		return t.UnixNano(), false
	}
	return 0, false
}

// finishedAt returns when the last container of a Succeeded or Failed pod ended, in Unix
// seconds, because time stamps have whole seconds. It is 0 for a pod that has not finished.
// A pod that never ran a container, for example an evicted pod, finished when it stopped
// being ready, or at the latest when it was started.
func finishedAt(o *corev1.Pod) uint32 {
	if o.Status.Phase != corev1.PodSucceeded && o.Status.Phase != corev1.PodFailed {
		return 0
	}
	end := lastFinished(o.Status.ContainerStatuses)
	end = later(end, lastFinished(o.Status.InitContainerStatuses))
	if end.IsZero() {
		end = notReadySince(o)
	}
	if end.IsZero() && o.Status.StartTime != nil {
		end = o.Status.StartTime.Time
	}
	if end.IsZero() {
		end = o.CreationTimestamp.Time
	}
	return uint32(max(1, end.Unix())) // 1: long ago
}

func lastFinished(statuses []corev1.ContainerStatus) time.Time {
	var end time.Time
	for i := range statuses {
		if t := statuses[i].State.Terminated; t != nil {
			end = later(end, t.FinishedAt.Time)
		}
	}
	return end
}

func notReadySince(o *corev1.Pod) time.Time {
	if c := condition(o, corev1.PodReady); c != nil && c.Status == corev1.ConditionFalse {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

func condition(o *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range o.Status.Conditions {
		if c := &o.Status.Conditions[i]; c.Type == kind {
			return c
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
