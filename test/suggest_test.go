package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kube-nflog/kube-nflog/test/netlab"
	"github.com/kube-nflog/kube-nflog/test/system"
)

// explain runs the command with the agent's own rights, and returns what it
// prints and its exit status.
func (s *scene) explain(t *testing.T, args ...string) (stdout string, status int) {
	t.Helper()
	cmd := exec.CommandContext(s.ctx, agentBinary, append([]string{"explain", "--kubeconfig", s.Kubeconfig}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if errs.Len() > 0 {
		t.Errorf("explain %v writes to standard error: %s", args, errs.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// TestSuggest asks about traffic that policies deny, lets the API server check
// the suggestion, applies it by kubectl and asks again.
func TestSuggest(t *testing.T) {
	s := newScene(t)
	at := s.createAPI(t)
	s.createPolicy(t, s.allowing("api-ingress", 9090))
	front, api := s.namespace+"/client", s.namespace+"/api"
	asked := []string{"--from", front, "--to", api, "--port", "8080/TCP"}
	head := fmt.Sprintf("%s (%s) → %s (%s) on port 8080/TCP: ", front, s.client.v4, api, at.v4)
	denied := head + fmt.Sprintf("denied by NetworkPolicy %s/api-ingress (no rule allows it; nearest: api-ingress allows port 9090/TCP from it)\n", s.namespace)

	got, status := s.explain(t, asked...)
	if diff := gocmp.Diff(denied, got); diff != "" || status != 3 {
		t.Errorf("status %d, want 3; -want +got:\n%s", status, diff)
	}
	suggested, status := s.explain(t, append(asked, "--suggest")...)
	if !strings.HasPrefix(suggested, "# "+denied) || status != 3 {
		t.Fatalf("status %d, want 3; suggests\n%s", status, suggested)
	}
	file := filepath.Join(netlab.Scratch, s.namespace+".yaml")
	system.Must(t, os.WriteFile(file, []byte(suggested), 0o600))
	for _, how := range [][]string{{"--dry-run=server"}, {}} {
		if out, err := s.plane.Kubectl(s.ctx, append([]string{"apply", "-f", file}, how...)...); err != nil {
			t.Fatal(out, err, suggested)
		}
		if len(how) > 0 {
			if _, status := s.explain(t, asked...); status != 3 {
				t.Errorf("after a dry run the status is %d", status)
			}
		}
	}
	got, status = s.explain(t, asked...)
	if want := head + "allowed: no NetworkPolicy selects the pod for egress; ingress by NetworkPolicy " + s.namespace + "/allow-ingress-8080-tcp-"; status != 0 || !strings.HasPrefix(got, want) {
		t.Errorf("status %d after it was applied:\n%swant\n%s…", status, got, want)
	}
	// Nothing else is allowed.
	for _, other := range [][]string{
		{"--from", front, "--to", api, "--port", "8081/TCP"},
		{"--from", front, "--to", api, "--port", "8080/UDP"},
		{"--from", "203.0.113.9", "--to", api, "--port", "8080/TCP"},
	} {
		if got, status := s.explain(t, other...); status != 3 {
			t.Errorf("status %d: %s", status, got)
		}
	}
}
