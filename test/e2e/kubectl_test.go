//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// kubectl runs the real kubectl.
type kubectl struct{ path string }

// run returns kubectl's standard output. An error contains its standard error.
func (k kubectl) run(ctx context.Context, args ...string) (string, error) {
	return k.apply(ctx, "", args...)
}

// apply is like run, with a standard input.
func (k kubectl) apply(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, k.path, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// must is like run, and ends the test if kubectl fails.
func (k kubectl) must(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	out, err := k.run(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// event holds the fields of a core/v1 Event that the tests read.
type event struct {
	Message string `json:"message"`
	Reason  string `json:"reason"`
	Type    string `json:"type"`
	Count   int    `json:"count"`
	Source  struct {
		Component string `json:"component"`
		Host      string `json:"host"`
	} `json:"source"`
}

// drops returns the agent's events about the pod.
func (k kubectl) drops(ctx context.Context, namespace, pod string) ([]event, error) {
	out, err := k.run(ctx, "get", "events", "-n", namespace, "-o", "json",
		"--field-selector", "involvedObject.kind=Pod,reason=PacketDrop,involvedObject.name="+pod)
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []event `json:"items"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("read events of %s/%s: %w", namespace, pod, err)
	}
	return list.Items, nil
}

// eventually calls check until it returns no error. After limit it fails with the last
// error.
func eventually(ctx context.Context, t *testing.T, limit time.Duration, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	var last error
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil || last == nil {
			last = err // keep the previous error if this one only says that the time is over
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %v", limit, last)
		case <-again.C:
		}
	}
}
