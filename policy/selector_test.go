package policy

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// TestSelectorMatchesLikeKubernetes checks that comparing exact labels gives what
// Kubernetes' own selectors give.
func TestSelectorMatchesLikeKubernetes(t *testing.T) {
	maps := []map[string]string{
		nil, {}, {"a": ""}, {"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": "1"}, {"a": "1", "b": "2", "c": ""},
	}
	expressions := [][]metav1.LabelSelectorRequirement{
		nil, {{Key: "a", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"1"}}}, {{Key: "c", Operator: metav1.LabelSelectorOpExists}},
	}
	for _, wanted := range maps {
		for _, more := range expressions {
			given := &metav1.LabelSelector{MatchLabels: wanted, MatchExpressions: more}
			s, err := newSelector(given, sizeOf(given))
			if err != nil {
				t.Fatal(err)
			}
			for _, set := range maps {
				if got, want := s.match(newLabelSet(set)) == matches, s.Matches(labels.Set(set)); got != want {
					t.Errorf("%v selects %v: %t, want %t", given, set, got, want)
				}
			}
		}
	}
}
