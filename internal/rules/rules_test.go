package rules

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// valid returns a valid configuration for tests to change.
func valid() Config {
	return Config{For: "plain", Backend: IPTables, Chain: "FORWARD", Group: 100, Prefix: "deny: "}
}

func TestCommands(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   []string
	}{
		{"plain", func(*Config) {}, []string{
			`iptables -A FORWARD -j NFLOG --nflog-group 100 --nflog-prefix 'deny: '`,
		}},
		{"both families", func(c *Config) { c.IPv6, c.Limit = true, "50/second" }, []string{
			`iptables -A FORWARD -m limit --limit 50/second -j NFLOG --nflog-group 100 --nflog-prefix 'deny: '`,
			`ip6tables -A FORWARD -m limit --limit 50/second -j NFLOG --nflog-group 100 --nflog-prefix 'deny: '`,
		}},
		{"before a rule", func(c *Config) { c.Table, c.Before, c.Match = "mangle", 3, "! -s 10.0.0.0/8 -p tcp" }, []string{
			`iptables -t mangle -I FORWARD 3 '!' -s 10.0.0.0/8 -p tcp -j NFLOG --nflog-group 100 --nflog-prefix 'deny: '`,
		}},
		{"no chain", func(c *Config) { c.Chain = "" }, []string{`iptables -A FORWARD -j NFLOG --nflog-group 100 --nflog-prefix 'deny: '`}},
		{"no chain of nft", func(c *Config) { c.Backend, c.Chain = NFT, "" }, []string{`nft 'add rule inet filter forward log group 100 prefix "deny: "'`}},
		{"no prefix", func(c *Config) { c.Prefix = "" }, []string{`iptables -A FORWARD -j NFLOG --nflog-group 100`}},
		{"a quote in the prefix", func(c *Config) { c.Prefix = "it's" }, []string{
			`iptables -A FORWARD -j NFLOG --nflog-group 100 --nflog-prefix 'it'\''s'`,
		}},
		{"nft", func(c *Config) { c.Backend, c.Chain, c.Limit, c.IPv6 = NFT, "forward", "5/minute", true }, []string{
			`nft 'add rule inet filter forward limit rate 5/minute log group 100 prefix "deny: "'`,
		}},
		{"nft before a rule", func(c *Config) { c.Backend, c.Table, c.Before, c.Match = NFT, "ip calico", 7, "tcp dport 80" }, []string{
			`nft 'insert rule ip calico FORWARD handle 7 tcp dport 80 log group 100 prefix "deny: "'`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			tt.change(&c)
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range c.Steps() {
				got = append(got, s.Command)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestEveryStepIsExplained checks the steps for each CNI with each backend.
func TestEveryStepIsExplained(t *testing.T) {
	for _, cni := range CNIs() {
		for _, backend := range []string{IPTables, NFT} {
			c := valid()
			c.For, c.Backend, c.IPv6 = cni, backend, true
			for _, s := range c.Steps() {
				if s.Comment == "" || s.Command == "" || strings.Contains(s.Command, "\n") {
					t.Errorf("%s, %s: %+v", cni, backend, s)
				}
			}
		}
	}
}

func TestValidateReportsAll(t *testing.T) {
	c := Config{
		For: "flannel", Backend: "ebtables", Chain: "-j ACCEPT", Before: -1, Match: "a\nb",
		Group: 65536, Prefix: "a\nb", Limit: "often",
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	var got []string
	for _, l := range lines {
		flag, _, _ := strings.Cut(l, ":")
		got = append(got, flag)
	}
	want := []string{"--for", "--backend", "--group", "--chain", "--before", "--match", "--prefix", "--limit"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s\n%s", diff, err)
	}
}

func TestValidateByBackend(t *testing.T) {
	long := strings.Repeat("x", 64)
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"iptables' prefix", func(c *Config) { c.Prefix = long }, "--prefix: is 64 bytes long, iptables takes 63"},
		{"nft's prefix", func(c *Config) { c.Backend, c.Prefix = NFT, long+long }, "--prefix: is 128 bytes long, nft takes 127"},
		{"a quote for nft", func(c *Config) { c.Backend, c.Prefix = NFT, `"` }, `--prefix: nft takes none of " \ $ in it`},
		{"a variable for nft", func(c *Config) { c.Backend, c.Prefix = NFT, "$HOME" }, `--prefix: nft takes none of " \ $ in it`},
		{"nft's longer prefix", func(c *Config) { c.Backend, c.Prefix = NFT, long }, ""},
		{"iptables' limit", func(c *Config) { c.Limit = "10001/second" }, "--limit: iptables takes no more than 10000/second, got 10001/second"},
		{"others' rules", func(c *Config) { c.For, c.Before = "calico", 3 }, "--before: goes without --for calico\n--chain: goes without --for calico"},
		{"rules that log", func(c *Config) { c.For, c.Chain, c.Limit = "k3s", "", "5/day" }, "--limit: goes without --for k3s\n--prefix: goes without --for k3s"},
		{"a table of two words", func(c *Config) { c.Table = "inet filter" }, `--table: "inet filter" is no table of iptables, such as "filter"`},
		{"a table of one word", func(c *Config) { c.Backend, c.Table = NFT, "filter" }, `--table: "filter" is no table of nft, such as "inet filter"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := valid()
			tt.change(&c)
			got := ""
			if err := c.Validate(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
