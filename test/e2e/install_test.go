//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// overlay writes a kustomization of deploy/ with the image, and returns its folder.
func overlay(t *testing.T, image string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	change(t, dir, image, "")
	return dir
}

// change writes the overlay again, with more lines of a kustomization.
func change(t *testing.T, dir, image, more string) {
	t.Helper()
	name, tag := split(image)
	text := fmt.Sprintf(`apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [%s]
images: [{name: kube-nflog, newName: %s, newTag: %s}]
%s`, deploy(t, dir), name, tag, more)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// deploy returns the relative path from a folder to deploy/. kustomize accepts no absolute
// path.
func deploy(t *testing.T, dir string) string {
	t.Helper()
	deploy, err := filepath.Abs("../../deploy")
	if err != nil {
		t.Fatal(err)
	}
	way, err := filepath.Rel(dir, deploy)
	if err != nil {
		t.Fatal(err)
	}
	return way
}

// split returns the name and the tag of an image.
func split(image string) (name, tag string) {
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		return image[:colon], image[colon+1:]
	}
	return image, "latest"
}

// install applies the overlay and waits until the agent of every node is ready.
func install(ctx context.Context, t *testing.T, k kubectl, dir string) {
	t.Helper()
	prepare(ctx, t, k, func() error { return uninstall(k, dir) })
	k.must(ctx, t, "apply", "-k", dir)
	rollout(ctx, t, k)
}

// prepare checks that there is no agent, and ensures that there is none when the test ends.
func prepare(ctx context.Context, t *testing.T, k kubectl, uninstall func() error) {
	t.Helper()
	if out := k.must(ctx, t, "get", "namespace", "kube-nflog", "--ignore-not-found", "-o", "name"); out != "" {
		t.Fatal("the cluster has a namespace kube-nflog already; uninstall it first")
	}
	t.Cleanup(func() {
		if err := uninstall(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { // runs before the cleanup above
		if t.Failed() {
			t.Log(agentState(k))
		}
	})
}

// rollout waits until every node has a ready agent of the latest version.
func rollout(ctx context.Context, t *testing.T, k kubectl) {
	t.Helper()
	if _, err := k.run(ctx, "rollout", "status", "-n", "kube-nflog", "daemonset/kube-nflog", "--timeout=2m"); err != nil {
		t.Fatal(err)
	}
}

func uninstall(k kubectl, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := k.run(ctx, "delete", "-k", dir, "--ignore-not-found", "--wait")
	return err
}

// agentState returns what a person looks at when the agent does not work.
func agentState(k kubectl) string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var state strings.Builder
	for _, args := range [][]string{
		{"describe", "pods", "-n", "kube-nflog"},
		{"logs", "-n", "kube-nflog", "daemonset/kube-nflog", "--tail=50"},
		{"get", "events", "-n", "kube-nflog"},
	} {
		out, err := k.run(ctx, args...)
		fmt.Fprintf(&state, "$ kubectl %s\n%s", strings.Join(args, " "), out)
		if err != nil {
			fmt.Fprintln(&state, err)
		}
	}
	return state.String()
}
