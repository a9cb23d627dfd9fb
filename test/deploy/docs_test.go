package deploy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
)

const guide = "../../docs/install.md"

// checkout returns a folder like a user's checkout, in which tests may write other files.
func checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"deploy", "docs"} {
		target, err := filepath.Abs("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// blocks returns the indented blocks of a document.
func blocks(t *testing.T, document string) []string {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, block := range regexp.MustCompile(`(?m)(?:^ {4}.*\n)+`).FindAllString(string(text), -1) {
		all = append(all, regexp.MustCompile(`(?m)^ {4}`).ReplaceAllString(block, ""))
	}
	return all
}

// commands returns the lines of a document's blocks that begin with the word first.
func commands(t *testing.T, document, first string) (found []string) {
	t.Helper()
	for _, block := range blocks(t, document) {
		for line := range strings.Lines(block) {
			if strings.HasPrefix(line, first+" ") {
				found = append(found, strings.TrimSpace(line))
			}
		}
	}
	return found
}

// typed runs a command line in a shell, as a user does, with a control plane.
func typed(ctx context.Context, t *testing.T, cp *controlplane.ControlPlane, dir, line string) string {
	t.Helper()
	path := os.Getenv("PATH")
	for _, binary := range []string{helmBinary, filepath.Join(controlBin, "kubectl")} {
		abs, err := filepath.Abs(binary)
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Dir(abs) + ":" + path
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+path, "KUBECONFIG="+cp.Kubeconfig(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("$ %s\n%s%v", line, out, err)
	}
	return string(out)
}

// kustomization creates a folder "agents" beside deploy/ with this kustomization.
func kustomization(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = checkout(t)
	file := filepath.Join(dir, "agents", "kustomization.yaml")
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// expectAll renders a kustomization and looks for the wanted texts.
func expectAll(ctx context.Context, t *testing.T, text string, want ...string) {
	t.Helper()
	out := typed(ctx, t, shared.ControlPlane, kustomization(t, text), "kubectl kustomize agents")
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("there is no %q in:\n%s", w, out)
		}
	}
}

// TestGuideKustomize writes the guide's kustomizations and runs its commands.
func TestGuideKustomize(t *testing.T) {
	ctx := testContext(t)
	var own string
	var patches []string
	for _, block := range blocks(t, guide) {
		switch {
		case strings.Contains(block, "kind: Kustomization"):
			own = block
		case strings.HasPrefix(block, "patches:"):
			patches = append(patches, block)
		}
	}
	applied := commands(t, guide, "kubectl apply")
	if len(applied) == 0 {
		t.Error("the guide applies nothing")
	}
	dir := kustomization(t, own)
	for _, line := range applied {
		typed(ctx, t, shared.ControlPlane, dir, line)
	}
	wanted := []string{"- --exclude-namespaces=kube-system\n", "memory: 1Gi\n"}
	if len(patches) != len(wanted) {
		t.Fatalf("the guide has the patches %q", patches)
	}
	for i, want := range wanted {
		expectAll(ctx, t, own+patches[i], want, "image: registry.example.com/kube-nflog:dev\n")
	}
}

// TestGuideOverlays compares the guide's table with the overlays, and renders the
// combination that the guide describes.
func TestGuideOverlays(t *testing.T) {
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	together := "kind: Kustomization\n"
	for _, m := range regexp.MustCompile("`((?:resources|components): \\[[^`]*\\])`").FindAllStringSubmatch(string(text), -1) {
		together += m[1] + "\n"
	}
	expectAll(testContext(t), t, together, "--dialect=calico", "privileged: true", "kind: PrometheusRule", "kind: FlowSchema")
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `deploy/overlays/(\\S+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(documented)
	if diff := gocmp.Diff(names(t), documented); diff != "" {
		t.Errorf("overlays, -want +got:\n%s", diff)
	}
}

// TestReadme runs the README's command that installs.
func TestReadme(t *testing.T) {
	ctx := testContext(t)
	lines := commands(t, "../../README.md", "kubectl kustomize")
	if len(lines) != 1 {
		t.Fatalf("the quick start installs by %q", lines)
	}
	typed(ctx, t, shared.ControlPlane, checkout(t), lines[0])
	agent, err := shared.Client().AppsV1().DaemonSets("kube-nflog").Get(ctx, "kube-nflog", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := agent.Spec.Template.Spec.Containers[0].Image, "registry.example.com/kube-nflog:dev"; got != want {
		t.Errorf("the image is %s, want %s", got, want)
	}
}

// TestGuideHelm runs the guide's helm commands one after the other. It needs its own
// control plane, because no controller there removes a deleted namespace.
func TestGuideHelm(t *testing.T) {
	ctx := testContext(t)
	binaries, err := controlplane.Locate(controlBin)
	if err != nil {
		t.Fatal(err)
	}
	cp, err := controlplane.Start(ctx, controlplane.Config{Binaries: binaries, Dir: filepath.Join(t.TempDir(), "control")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(); err != nil {
			t.Error(err)
		}
	})
	dir := checkout(t)
	lines := commands(t, guide, "helm")
	if len(lines) < 5 {
		t.Errorf("the guide has only %q", lines)
	}
	defineMonitoring(ctx, t, cp)
	notes := typed(ctx, t, cp, dir, "helm install x deploy/helm/kube-nflog --dry-run=client --namespace x --set 'namespace=x,flags.group={7,8}'")
	for _, want := range []string{
		"to NFLOG group\n7, 8. kube-router", "kubectl -n x exec POD", "No image is published, and kube-nflog:dev",
		"kubectl label namespace x pod-security.kubernetes.io/enforce=privileged",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("the chart's notes do not say %q:\n%s", want, notes)
		}
	}
	for _, line := range lines {
		typed(ctx, t, cp, dir, line)
	}
	if out := typed(ctx, t, cp, dir, "helm list --all --all-namespaces --short"); out != "" {
		t.Errorf("the guide's commands leave the release %s", out)
	}
}
