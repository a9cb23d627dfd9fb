package test

import (
	"strings"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
)

// TestWrongUsage gives the agent wrong flags and variables. It must print one line for each
// mistake, with the name of the flag, and exit with status 2.
func TestWrongUsage(t *testing.T) {
	s := newScene(t)
	for _, c := range []struct {
		name string
		cfg  agent.Config
		want []string // each must be in one line of standard error
	}{
		{
			name: "values",
			cfg:  agent.Config{Args: []string{"--group=70000", "--output=xml", "--log-level=loud", "--event-qps=0", "--flow-window=1ns"}},
			want: []string{"--group", "--output", "--log-level", "--event-qps", "--flow-window"},
		},
		{
			name: "environment",
			cfg:  agent.Config{Env: []string{"KUBE_NFLOG_POD_IDENTIFIER=face", "KUBE_NFLOG_LOG_FORMAT=yaml"}},
			want: []string{"pod-identifier", "log-format"},
		},
		{
			name: "flags that do not parse, with the environment",
			cfg:  agent.Config{Args: []string{"--log-format=yaml"}, Env: []string{"KUBE_NFLOG_FLOW_WINDOW=never", "KUBE_NFLOG_EVENT_BURST=many"}},
			want: []string{"KUBE_NFLOG_FLOW_WINDOW", "KUBE_NFLOG_EVENT_BURST"},
		},
		{
			name: "unknown flag",
			cfg:  agent.Config{Args: []string{"--no-such-flag"}},
			want: []string{"--no-such-flag"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.start(t, c.cfg)
			status, err := a.Wait(s.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if status != 2 {
				t.Errorf("exit status %d, want 2", status)
			}
			lines := strings.Split(strings.TrimSpace(a.Log()), "\n")
			for _, want := range c.want {
				found := 0
				for _, line := range lines {
					if strings.Contains(line, want) {
						found++
					}
				}
				if found != 1 {
					t.Errorf("%d lines name %s, want 1:\n%s", found, want, a.Log())
				}
			}
		})
	}
}
