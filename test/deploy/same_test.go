package deploy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// object is a Kubernetes object, as parsed from YAML.
type object = map[string]any

// parse returns the objects of a YAML stream by kind, namespace and name. It removes the
// labels that say what installed them.
func parse(t *testing.T, text string) map[string]object {
	t.Helper()
	objects := map[string]object{}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		var o object
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if o == nil {
			continue // there is nothing between two separators
		}
		u := unstructured.Unstructured{Object: o}
		key := fmt.Sprintf("%s %s/%s", u.GetKind(), u.GetNamespace(), u.GetName())
		if objects[key] != nil {
			t.Errorf("there are two of %s", key)
		}
		unstructured.RemoveNestedField(o, "metadata", "labels", "app.kubernetes.io/managed-by")
		unstructured.RemoveNestedField(o, "metadata", "labels", "helm.sh/chart")
		objects[key] = o
	}
}

// TestSameObjects renders the base and each overlay with kustomize and with helm.
func TestSameObjects(t *testing.T) {
	type way struct {
		dir  string
		args []string
	}
	ways := map[string]way{"defaults": {base, nil}}
	for _, name := range names(t) {
		ways[name] = way{overlays + "/" + name, valuesOf(name)}
	}
	for name, w := range ways {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			want, got := parse(t, kustomized(ctx, t, w.dir)), parse(t, rendered(ctx, t, w.args...))
			if len(want) < 5 {
				t.Fatalf("kustomize gives only %d objects", len(want))
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("-kustomize +helm:\n%s", diff)
			}
		})
	}
}

// TestOverlaysDiffer checks that each overlay changes something, except for the one that
// documents that it does not.
func TestOverlaysDiffer(t *testing.T) {
	ctx := testContext(t)
	plain := parse(t, kustomized(ctx, t, base))
	for _, name := range names(t) {
		same := gocmp.Equal(plain, parse(t, kustomized(ctx, t, overlays+"/"+name)))
		if same != (name == "kube-router-k3s") {
			t.Errorf("%s: is the same as the base: %v", name, same)
		}
	}
}
