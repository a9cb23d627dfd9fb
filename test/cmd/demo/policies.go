package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kube-nflog/kube-nflog/test/framework/controlplane"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// policies are the NetworkPolicies from which a network plugin would make the rules.
const policies = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: shop}
spec: {podSelector: {}, policyTypes: [Ingress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api-ingress, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Ingress]
  ingress: [{ports: [{port: 8080, protocol: TCP}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api-dns, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  policyTypes: [Egress]
  egress: [{ports: [{port: 53, protocol: UDP}]}]
`

// deniedBy returns the reason in the events of a denied attempt.
func (a *attempt) deniedBy() string {
	switch {
	case strings.HasSuffix(a.toName, "/"+api):
		return ": denied by NetworkPolicy shop/api-ingress, shop/default-deny (no rule allows it; nearest: api-ingress allows port 8080/TCP from it)."
	case strings.HasSuffix(a.toName, "/"+frontend):
		return ": denied by NetworkPolicy shop/default-deny (no rule allows it)."
	}
	return ": denied by NetworkPolicy shop/api-dns (no egress rule allows it; nearest: api-dns allows port 53/UDP to it)."
}

// apply applies objects with kubectl.
func (d *demo) apply(ctx context.Context, cp *controlplane.ControlPlane, name, text string) error {
	file := filepath.Join(netlab.Scratch, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	out, err := cp.Kubectl(ctx, "apply", "-f", file)
	for line := range strings.Lines(out) {
		d.progress.say("  %s", strings.TrimSpace(line))
	}
	return err
}

// ask runs kube-nflog explain for denied traffic, applies its suggestion, and asks again.
// Then the API allows the traffic.
func (d *demo) ask(ctx context.Context, cp *controlplane.ControlPlane, kubeconfig string) error {
	args := []string{"explain", "--from", namespace + "/" + frontend, "--to", namespace + "/" + api, "--port", "5432/TCP"}
	suggested, status, err := d.command(ctx, kubeconfig, append(args, "--suggest")...)
	if err != nil || status != 3 {
		return errors.Join(fmt.Errorf("kube-nflog explain: exit status %d, want 3 for denied traffic", status), err)
	}
	if err := d.apply(ctx, cp, "suggestion.yaml", suggested); err != nil {
		return err
	}
	if _, status, err = d.command(ctx, kubeconfig, args...); err != nil || status != 0 {
		return errors.Join(fmt.Errorf("kube-nflog explain: exit status %d after its suggestion was applied", status), err)
	}
	return nil
}

// command runs kube-nflog and prints its output.
func (d *demo) command(ctx context.Context, kubeconfig string, args ...string) (stdout string, status int, err error) {
	d.progress.heading("kube-nflog " + strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, d.agentBinary(), append(args, "--kubeconfig", kubeconfig)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if errors.As(err, new(*exec.ExitError)) {
		err = nil // the caller checks the status
	}
	fmt.Fprintln(d.progress.out, string(out))
	if cmd.ProcessState == nil {
		return "", 0, err
	}
	return string(out), cmd.ProcessState.ExitCode(), err
}
