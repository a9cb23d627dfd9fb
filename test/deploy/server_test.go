package deploy

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

// The module with the Prometheus Operator's resource definitions, and its hash.
const (
	operator    = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
	operatorSum = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
)

// TestServerTakesAll sends every overlay, and the chart with the same values, to the API
// server as a dry run.
func TestServerTakesAll(t *testing.T) {
	ctx := testContext(t)
	defineMonitoring(ctx, t, shared.ControlPlane)
	if _, err := shared.Kubectl(ctx, "apply", "-f", base+"/base/namespace.yaml"); err != nil {
		t.Fatal(err)
	}
	dry := []string{"apply", "--dry-run=server", "--validate=strict"}
	for _, name := range names(t) {
		if _, err := shared.Kubectl(ctx, append(dry, "-k", filepath.Join(overlays, name))...); err != nil {
			t.Errorf("%s, kustomize: %v", name, err)
		}
		file := filepath.Join(t.TempDir(), "chart.yaml")
		if err := os.WriteFile(file, []byte(rendered(ctx, t, valuesOf(name)...)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := shared.Kubectl(ctx, append(dry, "-f", file)...); err != nil {
			t.Errorf("%s, helm: %v", name, err)
		}
	}
}

// defineMonitoring defines PodMonitor and PrometheusRule in the API server, with the
// Prometheus Operator's definitions.
func defineMonitoring(ctx context.Context, t *testing.T, cp *controlplane.ControlPlane) {
	t.Helper()
	out, err := exec.CommandContext(ctx, "go", "mod", "download", "-json", operator).Output()
	if err != nil {
		t.Fatalf("download %s: %v\n%s", operator, err, out)
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	if module.Sum != operatorSum {
		t.Fatalf("%s has the hash %s, want %s", operator, module.Sum, operatorSum)
	}
	for _, kind := range []string{"podmonitors", "prometheusrules"} {
		file := filepath.Join(module.Dir, "example/prometheus-operator-crd/monitoring.coreos.com_"+kind+".yaml")
		if _, err := cp.Kubectl(ctx, "apply", "--server-side", "-f", file); err != nil {
			t.Fatal(err)
		}
		if _, err := cp.Kubectl(ctx, "wait", "--for=condition=Established", "crd/"+kind+".monitoring.coreos.com"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPodSecurity creates the agent's pod in namespaces of each Pod Security level, and in
// the namespace of deploy/. The API server's admission decides.
func TestPodSecurity(t *testing.T) {
	ctx := testContext(t)
	const capability, network = `must not include "NET_ADMIN"`, "hostNetwork=true"
	for overlay, refusals := range map[string][]string{
		"kube-router-k3s": {capability, network, "hostPort 19090"},
		"privileged":      {"must not set securityContext.privileged=true", network},
	} {
		pod := agentPod(t, kustomized(ctx, t, filepath.Join(overlays, overlay)))
		if err := admit(ctx, namespaceOf(t, overlay+"-privileged", "privileged"), pod); err != nil {
			t.Errorf("%s: level privileged: %v", overlay, err)
		}
		for _, level := range []string{"baseline", "restricted"} {
			err := admit(ctx, namespaceOf(t, overlay+"-"+level, level), pod)
			if !apierrors.IsForbidden(err) {
				t.Errorf("%s: level %s: got %v, want a refusal", overlay, level, err)
				continue
			}
			for _, why := range refusals {
				if !strings.Contains(strings.ReplaceAll(err.Error(), `\"`, `"`), why) {
					t.Errorf("%s: level %s does not say %q: %v", overlay, level, why, err)
				}
			}
		}
	}
}

// TestOwnNamespaceAdmits installs the base. Its namespace must accept the pod, although the
// cluster's default refuses it.
func TestOwnNamespaceAdmits(t *testing.T) {
	ctx := testContext(t)
	account, err := shared.InstallAgent(ctx, base)
	if err != nil {
		t.Fatal(err)
	}
	if err := admit(ctx, account.Namespace, agentPod(t, kustomized(ctx, t, base))); err != nil {
		t.Error(err)
	}
}

// namespaceOf creates a namespace that enforces a level.
func namespaceOf(t *testing.T, name, level string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": level},
	}}
	if _, err := shared.Client().CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// admit returns an error if the API server refuses a pod.
func admit(ctx context.Context, namespace string, pod *corev1.Pod) error {
	_, err := shared.Client().CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// agentPod returns the pod of the DaemonSet in a YAML stream.
func agentPod(t *testing.T, text string) *corev1.Pod {
	t.Helper()
	spec := parse(t, text)["DaemonSet kube-nflog/kube-nflog"]["spec"].(object)
	var template corev1.PodTemplateSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(spec["template"].(object), &template); err != nil {
		t.Fatal(err)
	}
	template.GenerateName = "kube-nflog-"
	return &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
}
