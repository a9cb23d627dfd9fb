package firewall

import (
	"log/slog"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKernelWithoutNFTables checks that a kernel without nftables is asked for it once a
// minute, not once a second, because it starts modprobe each time.
func TestKernelWithoutNFTables(t *testing.T) {
	calls, err := 0, error(unix.EINVAL)
	l := NewLimits(nil, slog.New(slog.DiscardHandler))
	l.generation = func() (uint32, error) { calls++; return 7, err }
	now := time.Now()
	for second := range 60 {
		l.state(now.Add(time.Duration(second) * time.Second))
	}
	if calls != 1 {
		t.Errorf("it was called %d times in a minute, want once", calls)
	}
	err = nil // now the module is loaded
	for range 2 {
		if got := l.state(now.Add(noNFTFor)).generation; got != 7 {
			t.Errorf("the generation is %d, want 7", got)
		}
	}
	if calls != 3 {
		t.Errorf("it was called %d times in all, want 3", calls)
	}
}

// TestLimits reads rules of every tool from the kernel, in its own network namespace.
func TestLimits(t *testing.T) {
	const log = " -j NFLOG --nflog-group 100 --nflog-prefix "
	const nft = "nft add table inet a; nft add chain inet a c; nft add rule inet a c "
	for _, tt := range []struct {
		name, setup, prefix, rate string
		limited                   bool
	}{
		{"no rule", "true", "", "", false},
		{"nft", nft + `limit rate 10/minute log prefix '"p"' group 100`, "p", "10/minute", true},
		{"nft, no prefix", nft + `limit rate 3/hour log group 100`, "", "3/hour", true},
		{"nft, no limit", nft + `log prefix '"p"' group 100`, "p", "", false},
		{"nft, a limit after the log", nft + `log prefix '"p"' group 100 limit rate 10/minute drop`, "p", "", false},
		{"nft, another group", nft + `limit rate 10/minute log prefix '"p"' group 7`, "p", "", false},
		{"nft, another prefix", nft + `limit rate 10/minute log prefix '"q"' group 100`, "p", "", false},
		{
			"nft, two limits", nft + `limit rate 10/minute log group 100; nft add rule inet a c limit rate 9/minute log group 100`,
			"", "", true,
		},
		{
			"nft, a limit on the way to the chain",
			nft + `log group 100; nft add chain inet a b; nft add rule inet a b limit rate 10/minute jump c`, "", "10/minute", true,
		},
		{"iptables-nft", "iptables-nft -A FORWARD -m limit --limit 10/minute" + log + "p", "p", "10/minute", true},
		{"iptables-nft, no limit", "iptables-nft -A FORWARD" + log + "p", "p", "", false},
		{"iptables-legacy", "iptables-legacy -A FORWARD -m limit --limit 10/minute" + log + "p", "p", "10/minute", true},
		{"iptables-legacy, a comment before", "iptables-legacy -A FORWARD -p tcp -m comment --comment x -m limit --limit 5/second" + log + "p", "p", "5/second", true},
		{"iptables-legacy, no limit", "iptables-legacy -A FORWARD" + log + "p", "p", "", false},
		{"ip6tables-legacy", "ip6tables-legacy -A FORWARD -m limit --limit 10/minute" + log + "p", "p", "10/minute", true},
		{"statistic", "iptables-legacy -A FORWARD -m statistic --mode nth --every 2 --packet 0" + log + "p", "p", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := exec.LookPath(strings.Fields(tt.setup)[0]); err != nil {
				t.Skip(err)
			}
			runtime.LockOSThread() // not unlocked: the thread ends with the test
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				t.Skipf("no network namespace: %v", err)
			}
			l := NewLimits([]uint16{100}, slog.New(slog.DiscardHandler))
			before := l.state(time.Now())
			if out, err := exec.CommandContext(t.Context(), "sh", "-ec", tt.setup).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if tt.setup != "true" && l.state(time.Now()) == before {
				t.Error("the change of the rules is not seen")
			}
			l.read()
			if l.failed {
				t.Fatal("the rules were not read")
			}
			if rate, limited := l.Of(100, tt.prefix); limited != tt.limited || rate != tt.rate {
				t.Errorf("limited %v, rate %q, want %v, %q", limited, rate, tt.limited, tt.rate)
			}
		})
	}
}
