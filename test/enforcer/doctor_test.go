package enforcer

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// doctor expects no problem in the rules that kube-router writes. Then it removes the
// logging rule of a pod, again each time when kube-router restores it, and expects that
// doctor names the pod.
func (c *cluster) doctor(t *testing.T) {
	c.apply(t, specs(t, `{podSelector: {matchLabels: {app: front}}, policyTypes: [Ingress]}`)...)
	c.await(t, func() error {
		return c.examined(0, "rules of kube-router or k3s that log 10/min", "kube-router drops without a policy")
	})
	const deleteLog = `iptables-save -t filter | grep -e '-j NFLOG' | grep -e 'POD name:front namespace: shop' -e 'shop/front ' |
		sed 's/^-A/iptables -D/' | sh -e`
	c.await(t, func() error {
		if _, err := c.node.Command(c.ctx, "sh", "-c", deleteLog); err != nil {
			return err
		}
		return c.examined(1, "kube-router rejects without a rule that logs before, so that nothing is reported of: shop/front\n")
	})
}

// examined runs doctor on the node. It returns an error unless the exit status and all
// wanted texts are there.
func (c *cluster) examined(status int, wanted ...string) error {
	cmd := exec.CommandContext(c.ctx, agentBinary, "doctor")
	var out []byte
	err := c.node.Do(func() (err error) {
		out, err = cmd.Output()
		return err
	})
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	if got := cmd.ProcessState.ExitCode(); got != status {
		return fmt.Errorf("exit status %d, want %d:\n%s", got, status, out)
	}
	for _, w := range wanted {
		if !strings.Contains(string(out), w) {
			return fmt.Errorf("doctor does not say %q:\n%s", w, out)
		}
	}
	return nil
}
