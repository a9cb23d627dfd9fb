package dialect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestParse checks the prefixes of all dialects.
func TestParse(t *testing.T) {
	long := strings.Repeat("x", 50)
	const own = `^(?P<verdict>\w+) by (?P<policy>[\w/-]+):`
	denied := func(kind, policy, direction string) PrefixInfo {
		return PrefixInfo{Action: Denied, Kind: kind, Policy: policy, Direction: direction}
	}
	tests := []struct {
		dialect Dialect
		pattern string
		prefix  string
		want    PrefixInfo
	}{
		{Auto, "", "", PrefixInfo{}},
		{Auto, "", "calico-drop: ", PrefixInfo{}},
		{Auto, "", "deny", PrefixInfo{}},
		{Auto, "", strings.Repeat("DPI0|", 60), PrefixInfo{}},

		{Auto, "", "DROP by policy shop/api-ingress", denied("NetworkPolicy", "shop/api-ingress", "")},
		{K3s, "", "DROP by policy shop/api-ingress ", denied("NetworkPolicy", "shop/api-ingress", "")},
		{K3s, "", ("DROP by policy shop/" + long)[:63], PrefixInfo{Action: Denied, Kind: "NetworkPolicy", Policy: ("shop/" + long)[:48], Cut: true}},
		{K3s, "", "DROP by policy shop", PrefixInfo{}},
		{K3s, "", "DROP by policy /x", PrefixInfo{}},
		{K3s, "", "DROP by policy shop/", PrefixInfo{}},
		{K3s, "", "DROP by policy shop/a and more", PrefixInfo{}},
		{K3s, "", "drop by policy shop/a", PrefixInfo{}},
		{Plain, "", "DROP by policy shop/api-ingress", PrefixInfo{}},
		{KubeRouter, "", "DROP by policy shop/api-ingress", PrefixInfo{}},
		{Calico, "", "DROP by policy shop/api-ingress", PrefixInfo{}},

		{Auto, "", "DPI0|gnp/default.foo", denied("Calico GlobalNetworkPolicy", "default.foo", "ingress")},
		{Calico, "", "DPE12|default.foo", denied("Calico GlobalNetworkPolicy", "default.foo", "egress")},
		{Calico, "", "DPI0|np/shop/default.foo", denied("Calico NetworkPolicy", "shop/default.foo", "ingress")},
		{Calico, "", "DPI0|shop/default.foo", denied("Calico NetworkPolicy", "shop/default.foo", "ingress")},
		{Calico, "", "DPI0|shop/knp.default.foo", denied("NetworkPolicy", "shop/foo", "ingress")},
		{Calico, "", "DPI0|np/shop/knp.default.foo", denied("NetworkPolicy", "shop/foo", "ingress")},
		{Calico, "", "DPI0|knp/shop/foo", denied("NetworkPolicy", "shop/foo", "ingress")},
		{Calico, "", "DPI|default", denied("Calico tier", "default", "ingress")},
		{Calico, "", "DPE|gnp/default.foo", denied("Calico GlobalNetworkPolicy", "default.foo", "egress")},
		{Calico, "", "DRI", denied("Calico profile", "", "ingress")},
		{Calico, "", "DRE", denied("Calico profile", "", "egress")},
		{Calico, "", "DRE0|kns.shop", denied("Calico profile", "kns.shop", "egress")},
		{Calico, "", "DPI88|gnp/_12IXaBPahNM7a7dZhI8zg6PStmHsgneYaax8LVSIq_RSTUVWXYZ0", denied("Calico policy", "", "ingress")},
		{Auto, "", "API0|shop/default.policy", PrefixInfo{Action: Allowed, Kind: "Calico NetworkPolicy", Policy: "shop/default.policy", Direction: "ingress"}},
		{Calico, "", "PRE999|short.profile.name", PrefixInfo{Action: Allowed, Kind: "Calico profile", Policy: "short.profile.name", Direction: "egress"}},
		{Calico, "", "PPI|tier-1", PrefixInfo{Action: Allowed, Kind: "Calico tier", Policy: "tier-1", Direction: "ingress"}},
		{Plain, "", "API0|shop/default.policy", PrefixInfo{}},
		{Calico, "", "ARI", PrefixInfo{}},
		{Calico, "", "DPI", PrefixInfo{}},
		{Calico, "", "DPI0|", PrefixInfo{}},
		{Calico, "", "DPIx|gnp/a", PrefixInfo{}},
		{Calico, "", "DPX0|gnp/a", PrefixInfo{}},
		{Calico, "", "DXI0|gnp/a", PrefixInfo{}},
		{Calico, "", "XPI0|gnp/a", PrefixInfo{}},
		{Calico, "", "API 2 deny | all", PrefixInfo{}},

		{Auto, own, "drop by shop/api-in: ", denied("policy", "shop/api-in", "")},
		{Plain, own, "Accept by shop/api-in: ", PrefixInfo{Action: Allowed, Kind: "policy", Policy: "shop/api-in"}},
		{Plain, own, "seen by shop/api-in: ", PrefixInfo{Kind: "policy", Policy: "shop/api-in"}},
		{Plain, own, "something else", PrefixInfo{}},
		{Auto, own, "DROP by policy shop/a", denied("NetworkPolicy", "shop/a", "")},
		{Plain, `(?P<verdict>DENY)`, "x DENY y", PrefixInfo{Action: Denied}},
	}
	for _, tt := range tests {
		t.Run(string(tt.dialect)+" "+tt.prefix, func(t *testing.T) {
			p, err := NewParser(tt.dialect, tt.pattern)
			if err != nil {
				t.Fatal(err)
			}
			got := p.Parse(tt.prefix)
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(PrefixInfo{})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if p.Allows(tt.prefix) != (tt.want.Action == Allowed) {
				t.Errorf("Allows says %t", p.Allows(tt.prefix))
			}
		})
	}
}

func TestNewParser(t *testing.T) {
	tests := []struct {
		dialect Dialect
		pattern string
		wrong   string // part of the error, "" for none
	}{
		{"", "", ""},
		{Auto, `^(?P<policy>\S+)`, ""},
		{"cilium", "", `"cilium" is none of auto, plain, kube-router, k3s, calico`},
		{Auto, `(`, "missing closing"},
		{Auto, `drop`, "no group named"},
		{Auto, `(?P<verdict>x)(?P<name>y)`, `"name" is neither`},
		{Auto, strings.Repeat("a", 1025), "longer than 1024"},
	}
	for _, tt := range tests {
		_, err := NewParser(tt.dialect, tt.pattern)
		if (err != nil) != (tt.wrong != "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
			t.Errorf("dialect %q, pattern %.20q: error %v, want %q", tt.dialect, tt.pattern, err, tt.wrong)
		}
	}
}

// FuzzParse parses arbitrary prefixes.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "DROP by policy a/b", "DPI0|gnp/x", "DRI", "A|||", "drop by x: "} {
		f.Add(s)
	}
	p, err := NewParser(Auto, `^(?P<verdict>\w+) by (?P<policy>[\w/-]+):`)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, prefix string) {
		info := p.Parse(prefix)
		if len(info.Policy) > len(prefix) || !strings.Contains(strings.ReplaceAll(prefix, "knp.default.", ""), info.Policy) {
			t.Errorf("%q is not in %q", info.Policy, prefix)
		}
	})
}
