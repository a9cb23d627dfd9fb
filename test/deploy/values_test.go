package deploy

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestLint runs helm lint on the chart.
func TestLint(t *testing.T) {
	for _, name := range names(t) {
		args := append([]string{"lint", "--strict", chart}, valuesOf(name)...)
		if out, err := shared.helm.Run(testContext(t), args...); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// TestMistakes gives invalid values. helm must print one line that names the mistake.
func TestMistakes(t *testing.T) {
	for set, want := range map[string]string{
		"imge.tag=1":               "at '': additional properties 'imge' not allowed",
		"image.tga=1":              "at '/image': additional properties 'tga' not allowed",
		"flags.exclude-namespace=": "at '/flags': additional properties 'exclude-namespace' not allowed",
		"flags.dialect=calcio":     "at '/flags/dialect': value must be one of 'auto', 'plain', 'kube-router', 'k3s', 'calico'",
		"flags.flow-window=1":      "at '/flags/flow-window': got number, want string",
		"flags.group[0]=a":         "at '/flags/group/0': got string, want integer",
		"port=99999":               "at '/port': maximum: got 99,999, want 65,535",
		"privileged=yes":           "at '/privileged': got string, want boolean",
		"resources.limit.cpu=1":    "at '/resources': additional properties 'limit' not allowed",
		"namespace=Shop":           "at '/namespace': 'Shop' does not match pattern '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'",
	} {
		_, err := shared.helm.Run(testContext(t), "template", "kube-nflog", chart, "--set", set)
		if err == nil {
			t.Errorf("--set %s is taken", set)
			continue
		}
		var complaints []string
		for line := range strings.Lines(err.Error()) {
			if trimmed, ok := strings.CutPrefix(strings.TrimSpace(line), "- "); ok {
				complaints = append(complaints, trimmed)
			}
		}
		if diff := gocmp.Diff([]string{want}, complaints); diff != "" {
			t.Errorf("--set %s: -want +got:\n%s", set, diff)
		}
	}
}

// TestValues checks what single values change in the DaemonSet.
func TestValues(t *testing.T) {
	container := func(o object) object {
		all, _, _ := unstructured.NestedSlice(o, "spec", "template", "spec", "containers")
		return all[0].(object)
	}
	pod := func(o object) object {
		spec, _, _ := unstructured.NestedMap(o, "spec", "template", "spec")
		return spec
	}
	for name, c := range map[string]struct {
		set  []string
		of   func(object) any
		want any
	}{
		"flags": {
			[]string{`flags={"group":[100,101],"explain":false,"event-qps":0.5,"prefix":["a: ","\"b$(c"],"pod-events":1000000}`},
			func(o object) any { return container(o)["args"] },
			[]any{
				"run", "--listen=:19090", "--event-qps=0.5", "--explain=false", "--group=100", "--group=101",
				"--pod-events=1000000", "--prefix=a: ", `--prefix="b$$(c`,
			},
		},
		"digest": {
			[]string{"image.repository=r.example.com/x", "image.digest=sha256:" + strings.Repeat("0", 64)},
			func(o object) any { return container(o)["image"] }, "r.example.com/x@sha256:" + strings.Repeat("0", 64),
		},
		"tag": {[]string{"image.tag=1.10"}, func(o object) any { return container(o)["image"] }, "kube-nflog:1.10"},
		"port": {
			[]string{"port=9091"},
			func(o object) any { return []any{container(o)["args"].([]any)[1], container(o)["ports"]} },
			[]any{"--listen=:9091", []any{object{"name": "http", "containerPort": 9091.0, "protocol": "TCP"}}},
		},
		"memory": {
			[]string{"resources.limits.memory=256Mi"},
			func(o object) any { return container(o)["resources"].(object)["limits"] }, object{"cpu": "500m", "memory": "256Mi"},
		},
		"pull secrets": {
			[]string{"imagePullSecrets[0].name=s"},
			func(o object) any { return pod(o)["imagePullSecrets"] }, []any{object{"name": "s"}},
		},
		"nodes": {
			[]string{"nodeSelector.pool=a", "tolerations=null"},
			func(o object) any { return []any{pod(o)["nodeSelector"], pod(o)["tolerations"]} },
			[]any{object{"kubernetes.io/os": "linux", "pool": "a"}, nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var args []string
			for _, s := range c.set {
				kind := "--set"
				if strings.Contains(s, "={") {
					kind = "--set-json"
				}
				args = append(args, kind, s)
			}
			daemonset := parse(t, rendered(testContext(t), t, args...))["DaemonSet kube-nflog/kube-nflog"]
			if diff := gocmp.Diff(c.want, c.of(daemonset)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestRights switches features off. The ClusterRole must then have fewer rights.
func TestRights(t *testing.T) {
	objects := parse(t, rendered(testContext(t), t, "--set", "flags.explain=false,flags.services=false,flags.events=false"))
	got, _, err := unstructured.NestedSlice(objects["ClusterRole /kube-nflog"], "rules")
	if err != nil {
		t.Fatal(err)
	}
	want := []any{object{"apiGroups": []any{""}, "resources": []any{"pods", "nodes"}, "verbs": []any{"list", "watch"}}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestOwnNamespace lets helm create the namespace, so the chart must not create it.
func TestOwnNamespace(t *testing.T) {
	objects := parse(t, rendered(testContext(t), t, "--namespace", "platform", "--set", "namespace=platform"))
	for key := range objects {
		if strings.HasPrefix(key, "Namespace ") || strings.Contains(key, " kube-nflog/") {
			t.Errorf("there is a %s", key)
		}
	}
	if objects["DaemonSet platform/kube-nflog"] == nil {
		t.Error("there is no DaemonSet in the release's namespace")
	}
}
