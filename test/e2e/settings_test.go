//go:build e2e

package e2e

import (
	"os"
	"strings"
	"testing"
)

// settings are the variables that doc.go lists.
type settings struct {
	kubectl    string
	helm       string
	kubeconfig string
	image      string
	podImage   string
	podServe   []string
	podDial    []string
	node       string
	nodeExec   []string
}

// fromEnvironment reads the settings. It fails with the names of all missing ones.
func fromEnvironment(t *testing.T) settings {
	t.Helper()
	var missing []string
	for _, name := range []string{"KUBECONFIG", "E2E_IMAGE", "E2E_POD_IMAGE"} {
		if os.Getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		t.Fatalf("set %s, see test/e2e/doc.go", strings.Join(missing, ", "))
	}
	return settings{
		kubectl:    valueOr("KUBECTL", "kubectl"),
		helm:       valueOr("HELM", "helm"),
		kubeconfig: os.Getenv("KUBECONFIG"),
		image:      os.Getenv("E2E_IMAGE"),
		podImage:   os.Getenv("E2E_POD_IMAGE"),
		podServe:   strings.Fields(valueOr("E2E_POD_SERVE", "serve :8080")),
		podDial:    strings.Fields(valueOr("E2E_POD_DIAL", "/rcnet tcp")),
		node:       os.Getenv("E2E_NODE"),
		nodeExec:   strings.Fields(os.Getenv("E2E_NODE_EXEC")),
	}
}

func valueOr(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}
