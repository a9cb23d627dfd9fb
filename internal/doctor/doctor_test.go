package doctor

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestPrint compares findings as a person and as a program reads them.
func TestPrint(t *testing.T) {
	findings := Findings{
		ok("kernel", "the kernel has NFLOG"),
		problem("rules", "see kube-nflog rules --help", "no rule logs to NFLOG group %d", 100),
	}
	tests := []struct {
		name   string
		asJSON bool
		want   string
	}{
		{"text", false, `ok       kernel           the kernel has NFLOG
problem  rules            no rule logs to NFLOG group 100
                          → see kube-nflog rules --help
`},
		{"JSON", true, `[
  {
    "check": "kernel",
    "status": "ok",
    "says": "the kernel has NFLOG"
  },
  {
    "check": "rules",
    "status": "problem",
    "says": "no rule logs to NFLOG group 100",
    "remedy": "see kube-nflog rules --help"
  }
]
`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := findings.Print(&b, tt.asJSON); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestPrintFails writes to a disk that is full.
func TestPrintFails(t *testing.T) {
	r, w := io.Pipe()
	if err := r.CloseWithError(unix.ENOSPC); err != nil {
		t.Fatal(err)
	}
	if err := (Findings{ok("kernel", "well")}).Print(w, false); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v", err)
	}
}

func TestHaveProblem(t *testing.T) {
	tests := []struct {
		findings Findings
		want     bool
	}{
		{nil, false},
		{Findings{ok("a", ""), note("b", "", "")}, false},
		{Findings{ok("a", ""), problem("b", "", "")}, true},
	}
	for _, tt := range tests {
		if got := tt.findings.HaveProblem(); got != tt.want {
			t.Errorf("%v: %v", tt.findings, got)
		}
	}
}
