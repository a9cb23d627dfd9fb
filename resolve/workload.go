package resolve

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WorkloadOf returns the object that controls the pod, as "namespace/Deployment/name", or
// "" if there is none. It asks nobody: the name of a Deployment's ReplicaSet is the
// Deployment's name and the pod's template hash, and the name of a CronJob's Job is the
// CronJob's name and a number of minutes.
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
	case "Node": // a mirror pod belongs to no workload
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

// cronJobOf parses the name of a Job as the CronJob controller writes it: the CronJob's
// name and the scheduled time in minutes since 1970. Fewer than eight digits would be a
// time before 1989, so "batch-2" stays a Job.
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
