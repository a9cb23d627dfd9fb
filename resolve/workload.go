package resolve

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WorkloadOf names the object that controls the pod, as
// "namespace/Deployment/name", or "" where nothing does. It asks nobody: a
// ReplicaSet made by a Deployment carries the Deployment's name and the pod's
// template hash, a Job made by a CronJob its name and a number of minutes.
func WorkloadOf(o *corev1.Pod) string {
	owner := metav1.GetControllerOfNoCopy(o)
	if owner == nil {
		return ""
	}
	kind, name := owner.Kind, owner.Name
	switch kind {
	case "ReplicaSet":
		if base, ok := deploymentOf(name, o.Labels["pod-template-hash"]); ok {
			kind, name = "Deployment", base
		}
	case "Job":
		if base, ok := cronJobOf(name); ok {
			kind, name = "CronJob", base
		}
	case "Node": // a mirror pod: no workload of the cluster's
		return ""
	}
	return o.Namespace + "/" + kind + "/" + name
}

func deploymentOf(replicaSet, hash string) (string, bool) {
	if hash == "" {
		return "", false
	}
	base, ok := strings.CutSuffix(replicaSet, "-"+hash)
	return base, ok && base != ""
}

// cronJobOf reads a Job's name as its CronJob's controller writes it: the
// CronJob's name and the scheduled time in minutes since 1970. Fewer than
// eight digits were before 1989, so "batch-2" stays a Job.
func cronJobOf(job string) (string, bool) {
	dash := strings.LastIndexByte(job, '-')
	if dash <= 0 {
		return "", false
	}
	digits := job[dash+1:]
	if len(digits) < 8 || len(digits) > 10 || strings.Trim(digits, "0123456789") != "" {
		return "", false
	}
	return job[:dash], true
}
