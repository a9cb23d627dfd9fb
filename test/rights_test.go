package test

import (
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestRights asks the API server what the agent's token may do, with kubectl auth can-i.
func TestRights(t *testing.T) {
	s := shared.Get(t)
	for question, want := range map[string]string{
		"list pods -A": "yes", "watch pods -A": "yes", "create events -A": "yes", "patch events -A": "yes",

		"get pods -A": "no", "create pods -A": "no", "delete pods -A": "no", "patch pods -A": "no", "create pods --subresource=exec -A": "no",
		"list events -A": "no", "delete events -A": "no", "update events -A": "no",
		"get secrets -A": "no", "list secrets -A": "no", "list configmaps -A": "no", "create serviceaccounts --subresource=token -A": "no",
		"patch nodes": "no", "get nodes": "no", "get nodes --subresource=proxy": "no", "impersonate users": "no", "escalate clusterroles": "no",
		"* *": "no",
	} {
		args := append([]string{"auth", "can-i"}, strings.Fields(question)...)
		// kubectl's exit status is 1 for "no", so the error is ignored and the answer is compared.
		out, err := s.ControlPlane.KubectlAs(t.Context(), s.Kubeconfig, args...)
		if got := strings.TrimSpace(out); got != want {
			t.Errorf("kubectl auth can-i %s: %q, want %s (%v)", question, got, want, err)
		}
	}
}

// TestRightsInFull compares all that the token may do with what is written
// here, in a namespace that deploy/ knows nothing of.
func TestRightsInFull(t *testing.T) {
	s := shared.Get(t)
	cfg, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	review, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(),
		&authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range review.Status.ResourceRules {
		slices.Sort(r.Resources)
		slices.Sort(r.Verbs)
		rule := strings.Join(r.Verbs, ",") + " " + strings.Join(r.Resources, ",")
		if len(r.ResourceNames) > 0 {
			rule += " named " + strings.Join(r.ResourceNames, ",")
		}
		got = append(got, rule)
	}
	slices.Sort(got)
	want := []string{
		// Every authenticated user may ask for its own rights.
		"create selfsubjectaccessreviews,selfsubjectrulesreviews",
		"create selfsubjectreviews",
		"create,patch events",
		"list,watch namespaces",
		"list,watch networkpolicies",
		"list,watch nodes,pods,services",
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("rights of the agent's token, -want +got:\n%s", diff)
	}
	for _, r := range review.Status.NonResourceRules {
		for _, v := range r.Verbs {
			if v != "get" {
				t.Errorf("the token may %s %v", v, r.NonResourceURLs)
			}
		}
	}
}
