package system

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Shared holds the System of a package's tests. It is a variable of the package. TestMain
// calls Run, which fills it before any test calls Get.
type Shared struct {
	system  *System // nil if the machine cannot have it
	missing error   // why the machine cannot have it
}

// Run runs the tests in a system and returns their exit status.
func (s *Shared) Run(m *testing.M, cfg Config) int {
	return run(m, cfg, func(started *System, missing error) { s.system, s.missing = started, missing })
}

// Get returns the system, or skips the test if the machine cannot have it.
func (s *Shared) Get(t *testing.T) *System {
	t.Helper()
	if s.missing != nil {
		Skip(t, s.missing.Error())
	}
	return s.system
}

// Skip skips the test. In CI it fails the test, because a test that never runs proves
// nothing.
func Skip(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal("must not be skipped in CI: " + why)
	}
	t.Skip(why)
}

// Need skips the test if a command is not installed.
func Need(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		if _, err := exec.LookPath(c); err != nil {
			Skip(t, fmt.Sprintf("%s is not installed; test/setup installs it", c))
		}
	}
}

// Must marks the test as failed if err is not nil. The test continues.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
