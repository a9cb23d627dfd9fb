package deploy

import (
	"net/http"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// TestFlowSchema writes an event as the agent does. The API server's answer names the flow
// schema and the priority level of the request.
func TestFlowSchema(t *testing.T) {
	ctx := testContext(t)
	account, err := shared.InstallAgent(ctx, overlays+"/flowschema")
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := shared.ServiceAccountKubeconfig(ctx, account)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	answered := map[string]string{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(r)
			if err == nil {
				answered["schema"] = response.Header.Get("X-Kubernetes-PF-FlowSchema-UID")
				answered["level"] = response.Header.Get("X-Kubernetes-PF-PriorityLevel-UID")
			}
			return response, err
		})
	})
	agent, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	flows := shared.Client().FlowcontrolV1()
	schema, err := flows.FlowSchemas().Get(ctx, "kube-nflog-events", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	level, err := flows.PriorityLevelConfigurations().Get(ctx, "kube-nflog-events", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"schema": string(schema.UID), "level": string(level.UID)}
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "packet-dropped"},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "default", Name: "p"},
	}
	// The API server must first see the new objects in its own watch.
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := agent.CoreV1().Events("default").Create(ctx, event, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Fatal(err)
		}
		diff := gocmp.Diff(want, answered)
		if diff == "" {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("-want +got:\n%s", diff)
		case <-tick.C:
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
