package operate

import (
	"path/filepath"
	"regexp"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestMonitoringKustomization renders deploy/monitoring by the real kubectl.
// The API server here has no Prometheus Operator to take it.
func TestMonitoringKustomization(t *testing.T) {
	s := newScene(t)
	out, err := s.ControlPlane.Kubectl(s.ctx, "kustomize", filepath.Join(deployment, "monitoring"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile(`(?m)^(?:kind: |  (?:name|namespace): )(\S+)$`).FindAllStringSubmatch(out, -1) {
		got = append(got, m[1])
	}
	want := []string{"PodMonitor", "kube-nflog", "kube-nflog", "PrometheusRule", "kube-nflog", "kube-nflog"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s\n%s", diff, out)
	}
}
