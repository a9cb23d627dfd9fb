package controlplane_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

// TestControlPlane checks what the other tests rely on: objects survive stop, kill and
// start, and the agent's kubeconfig has exactly the rights of deploy/.
func TestControlPlane(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	bin, err := controlplane.Build(ctx, controlplane.BuildConfig{ModuleDir: "../..", Dir: "../../../bin/controlplane"})
	if err != nil {
		t.Fatal(err)
	}
	cp, err := controlplane.Start(ctx, controlplane.Config{Binaries: bin, Dir: t.TempDir(), EventTTL: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})

	t.Run("kubectl", func(t *testing.T) {
		out, err := cp.Kubectl(ctx, "version")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, "Server Version: v1.36.3") || !strings.Contains(out, "Client Version: v1.36.3") {
			t.Errorf("kubectl version says\n%s", out)
		}
	})
	t.Run("service account", func(t *testing.T) {
		account, err := cp.InstallAgent(ctx, "../../../deploy")
		if err != nil {
			t.Fatal(err)
		}
		checkAgentRights(ctx, t, account.Namespace, mustKubeconfig(ctx, t, cp))
	})
	t.Run("stop and start", func(t *testing.T) {
		for name, end := range map[string]func() error{"stop": cp.StopAPIServer, "kill": cp.KillAPIServer} {
			if err := end(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := cp.Client().ServerVersion(); err == nil {
				t.Errorf("%s: the API server still answers", name)
			}
			if err := cp.StartAPIServer(ctx); err != nil {
				t.Fatalf("after %s: %v", name, err)
			}
			if _, err := cp.Client().AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{}); err != nil {
				t.Errorf("after %s: %v", name, err)
			}
		}
	})
}

func mustKubeconfig(ctx context.Context, t *testing.T, cp *controlplane.ControlPlane) string {
	t.Helper()
	account, err := cp.InstallAgent(ctx, "../../../deploy")
	if err != nil {
		t.Fatalf("install a second time: %v", err)
	}
	path, err := cp.ServiceAccountKubeconfig(ctx, account)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig with a token: %v, %v; want mode 0600", info, err)
	}
	return path
}

func checkAgentRights(ctx context.Context, t *testing.T, namespace, kubeconfig string) {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	agent, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := agent.CoreV1().Pods("").List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("the agent may not list pods: %v", err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
	if _, err := agent.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the agent creates a pod: %v, want forbidden", err)
	}
}
