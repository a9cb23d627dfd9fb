package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// explain runs the command with the agent's own rights, and returns what it
// prints and its exit status.
func (s *scene) explain(t *testing.T, args ...string) (stdout string, status int) {
	t.Helper()
	stdout, stderr, status := s.explainAs(t, s.Kubeconfig, args...)
	if stderr != "" {
		t.Errorf("explain %v writes to standard error: %s", args, stderr)
	}
	return stdout, status
}

// explainAs is like explain, with the rights of a kubeconfig.
func (s *scene) explainAs(t *testing.T, kubeconfig string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.CommandContext(s.ctx, agentBinary, append([]string{"explain", "--kubeconfig", kubeconfig}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestSuggest asks about traffic that policies deny. The API server checks the suggestion,
// kubectl applies it, and the second answer must be "allowed".
func TestSuggest(t *testing.T) {
	s := newScene(t)
	at := s.createAPI(t)
	s.createPolicy(t, s.allowing("api-ingress", 9090))
	front, api := s.namespace+"/client", s.namespace+"/api"
	asked := []string{"--from", front, "--to", api, "--port", "8080/TCP"}
	head := fmt.Sprintf("%s (%s) → %s (%s) on port 8080/TCP: ", front, s.client.v4, api, at.v4)
	denied := head + fmt.Sprintf("denied by NetworkPolicy %s/api-ingress (no rule allows it; nearest: api-ingress allows port 9090/TCP from it)\n", s.namespace)

	got, status := s.explain(t, asked...)
	if diff := gocmp.Diff(denied, got); diff != "" || status != 3 {
		t.Errorf("status %d, want 3; -want +got:\n%s", status, diff)
	}
	_, refused, status := s.explainAs(t, s.Kubeconfig, append(asked, "--suggest")...)
	if want := "pod " + front + " has no labels"; status != 1 || !strings.Contains(refused, want) {
		t.Errorf("status %d, want 1 and %q: %s", status, want, refused)
	}
	if out, err := s.plane.Kubectl(s.ctx, "label", "pod", "-n", s.namespace, "client", "app=front"); err != nil {
		t.Fatal(out, err)
	}
	suggested, status := s.explain(t, append(asked, "--suggest")...)
	if !strings.HasPrefix(suggested, "# "+denied) || status != 3 {
		t.Fatalf("status %d, want 3; suggests\n%s", status, suggested)
	}
	s.apply(t, suggested, "--dry-run=server")
	if _, status := s.explain(t, asked...); status != 3 {
		t.Errorf("after a dry run the status is %d", status)
	}
	s.apply(t, suggested)
	got, status = s.explain(t, asked...)
	if want := head + "allowed: no NetworkPolicy selects the pod for egress; ingress by NetworkPolicy " + s.namespace + "/allow-ingress-8080-tcp-"; status != 0 || !strings.HasPrefix(got, want) {
		t.Errorf("status %d after it was applied:\n%swant\n%s…", status, got, want)
	}
	// The suggestion must not allow other traffic.
	for _, other := range [][]string{
		{"--from", front, "--to", api, "--port", "8081/TCP"},
		{"--from", front, "--to", api, "--port", "8080/UDP"},
		{"--from", "203.0.113.9", "--to", api, "--port", "8080/TCP"},
	} {
		if got, status := s.explain(t, other...); status != 3 {
			t.Errorf("status %d: %s", status, got)
		}
	}
}

// apply applies a manifest with kubectl.
func (s *scene) apply(t *testing.T, manifest string, flags ...string) {
	t.Helper()
	file := filepath.Join(netlab.Scratch, s.namespace+".yaml")
	system.Must(t, os.WriteFile(file, []byte(manifest), 0o600))
	if out, err := s.plane.Kubectl(s.ctx, append([]string{"apply", "-f", file}, flags...)...); err != nil {
		t.Fatal(out, err, manifest)
	}
}

// TestExplainEnds asks about the same traffic with every name and address of its ends, as
// owners copy them from the errors of their applications.
func TestExplainEnds(t *testing.T) {
	s := newScene(t)
	at := s.createAPI(t)
	s.createPolicy(t, s.allowing("api-ingress", 9090))
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "api"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "api"},
		Ports:    []corev1.ServicePort{{Name: "a", Port: 80, TargetPort: intstr.FromInt32(8080)}, {Name: "b", Port: 90, TargetPort: intstr.FromInt32(9090)}},
	}}
	service, err := s.plane.Client().CoreV1().Services(s.namespace).Create(s.ctx, service, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client, api := s.namespace+"/client", s.namespace+"/api"
	for _, tt := range []struct {
		from, to, port string
		status         int
		says           string
	}{
		{client, at.v4.String(), "8080", 3, api + " (" + at.v4.String() + ")"},
		{client, at.v4.String(), "9090", 0, "allowed"},
		{client, at.v6.String(), "8080", 3, api + " (" + at.v6.String() + ")"},
		{s.client.v6.String(), at.v6.String(), "9090", 0, client},
		{client, service.Spec.ClusterIP, "80", 3, "of Service " + api + " on port 8080/TCP"},
		{client, service.Spec.ClusterIP, "90", 0, "on port 9090/TCP"},
		{client, s.namespace + "/svc/api", "80", 3, "of Service " + api},
		{s.namespace + "/pod/client", s.namespace + "/pod/api", "8080", 3, "denied"},
		{s.node.v4.String(), api, "8080", 0, "its own node"},
		{"node/" + s.nodeName, api, "8080", 0, "its own node"},
		{"203.0.113.77", api, "9090", 3, "203.0.113.77"},
		{"external:" + s.client.v4.String(), api, "9090", 3, "denied"},
	} {
		got, status := s.explain(t, "--from", tt.from, "--to", tt.to, "--port", tt.port)
		if status != tt.status || !strings.Contains(got, tt.says) {
			t.Errorf("%s → %s %s: status %d, want %d, and %q in:\n%s", tt.from, tt.to, tt.port, status, tt.status, tt.says, got)
		}
	}
	got, status := s.explain(t, "-n", s.namespace, "--from", "pod/client", "--to", "svc/api", "--port", "80/TCP")
	if status != 3 || !strings.Contains(got, "of Service "+api) {
		t.Errorf("in its namespace: status %d:\n%s", status, got)
	}
}

// TestExplainAsView asks with the usual rights of owners: ClusterRole view in their own
// namespace only. No controller aggregates view here, so the test creates its rules.
func TestExplainAsView(t *testing.T) {
	s := newScene(t)
	at := s.createAPI(t)
	s.createPolicy(t, s.allowing("api-ingress", 9090))
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "view"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:aggregate-to-view"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: s.namespace, Name: "owner"}},
	}
	client := s.plane.Client()
	if _, err := client.CoreV1().ServiceAccounts(s.namespace).Create(s.ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "owner"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.RbacV1().RoleBindings(s.namespace).Create(s.ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := s.plane.ServiceAccountKubeconfig(s.ctx, types.NamespacedName{Namespace: s.namespace, Name: "owner"})
	if err != nil {
		t.Fatal(err)
	}
	front, api := s.namespace+"/client", s.namespace+"/api"
	s.await(t, func() error { // wait until the API server knows the binding
		if _, stderr, status := s.explainAs(t, kubeconfig, "--from", front, "--to", api, "--port", "8080"); status != 3 {
			return fmt.Errorf("status %d: %s", status, stderr)
		}
		return nil
	})
	for _, tt := range []struct {
		from, to, port string
		status         int
		says, stderr   string
	}{
		{front, api, "8080", 3, "denied", ""},
		{front, api, "9090", 0, "allowed", ""},
		{front, at.v4.String(), "8080", 3, api, ""},
		{front, "203.0.113.9", "443", 4, "", "kube-nflog: cannot tell what 203.0.113.9 is: you may not list pods, nodes, services in all namespaces; if it is outside the cluster, say external:203.0.113.9\n"},
		{"external:203.0.113.9", api, "9090", 3, "denied", ""},
		{front, "kube-system/dns", "53", 4, "", "kube-nflog: cannot tell: you may not list pods in namespace kube-system\n"},
	} {
		stdout, stderr, status := s.explainAs(t, kubeconfig, "--from", tt.from, "--to", tt.to, "--port", tt.port)
		if status != tt.status || !strings.Contains(stdout, tt.says) || stderr != tt.stderr {
			t.Errorf("%s → %s %s: status %d, want %d\n%s%s", tt.from, tt.to, tt.port, status, tt.status, stdout, stderr)
		}
	}
}
