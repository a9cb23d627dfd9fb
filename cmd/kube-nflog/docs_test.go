//go:build linux

package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kube-nflog/kube-nflog/policy"
)

// TestDocumentedFlagsExist checks the flags of each command line in the documents.
func TestDocumentedFlagsExist(t *testing.T) {
	commands := map[string]*cobra.Command{}
	for _, c := range rootCommand().Commands() {
		commands[c.Name()] = c
	}
	line := regexp.MustCompile(`kube-nflog (run|watch|explain|rules|doctor|version)\b([^|#` + "`" + `\n]*)`)
	flag := regexp.MustCompile(`(?:^|\s)--([a-z0-9-]+)`)
	quoted := regexp.MustCompile(`"[^"]*"|'[^']*'`)
	found := 0
	for _, doc := range documents(t) {
		for _, m := range line.FindAllStringSubmatch(readDoc(t, doc), -1) {
			for _, f := range flag.FindAllStringSubmatch(quoted.ReplaceAllString(m[2], ""), -1) {
				found++
				if f[1] != "help" && commands[m[1]].Flags().Lookup(f[1]) == nil {
					t.Errorf("%s: kube-nflog %s has no --%s", doc, m[1], f[1])
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d flags were found: the documents are not read right", found)
	}
}

// TestFlagsInProse checks the flags that documents mention: each is a flag of a command, or
// of a program that is named here.
func TestFlagsInProse(t *testing.T) {
	known := map[string]bool{
		"nflog-group": true, "nflog-size": true, "nflog-threshold": true, "nflog-prefix": true, // iptables
		"namespace": true, "wait": true, "event-ttl": true, // helm and the API server
		"reuse-values": true, "reset-then-reuse-values": true, // helm
	}
	walk(rootCommand(), func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
	})
	for _, doc := range documents(t) {
		for _, m := range regexp.MustCompile("`--([a-z0-9-]+)[^`]*`").FindAllStringSubmatch(readDoc(t, doc), -1) {
			if !known[m[1]] {
				t.Errorf("%s: there is no --%s", doc, m[1])
			}
		}
	}
}

// TestFindingsAreDocumented compares docs/troubleshooting.md with the names of doctor's
// checks.
func TestFindingsAreDocumented(t *testing.T) {
	checks := map[string]bool{}
	name := regexp.MustCompile(`(?:const check = |(?:ok|note|problem)\(|Finding\{)"([a-z-]+)"`)
	for _, file := range []string{"kernel.go", "rules.go", "settings.go", "api.go", "agent.go"} {
		for _, m := range name.FindAllStringSubmatch(readDoc(t, "internal/doctor/"+file), -1) {
			checks[m[1]] = true
		}
	}
	documented := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(readDoc(t, "docs/troubleshooting.md"), -1) {
		documented[m[1]] = true
	}
	if diff := cmp.Diff(checks, documented); diff != "" {
		t.Errorf("docs/troubleshooting.md, -want +got:\n%s", diff)
	}
}

// TestReasonCodesAreDocumented compares docs/events.md with the codes.
func TestReasonCodesAreDocumented(t *testing.T) {
	var documented []policy.ReasonCode
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(section(t, "docs/events.md", "What programs read"), -1) {
		if m[1] != "reason" && m[1] != "related" {
			documented = append(documented, policy.ReasonCode(m[1]))
		}
	}
	if diff := cmp.Diff(policy.ReasonCodes(), documented); diff != "" {
		t.Errorf("docs/events.md, -want +got:\n%s", diff)
	}
}

// TestTailerVariablesAreDocumented compares docs/migrating.md with the variables that run
// reads.
func TestTailerVariablesAreDocumented(t *testing.T) {
	var o options
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	o.define(flags)
	text := readDoc(t, "docs/migrating.md")
	flags.VisitAll(func(f *pflag.Flag) {
		for _, v := range environment(f.Name) {
			if strings.HasPrefix(v.name, "KUBE_NFLOG_") || v.name == "NODE_NAME" || v.name == "NFLOG_GROUP" {
				continue
			}
			if want := "| `" + v.name + "` | `--" + f.Name + "` |"; !strings.Contains(text, want) {
				t.Errorf("docs/migrating.md has no row that begins with %s", want)
			}
		}
	})
}

// documents returns the paths of the documents for users.
func documents(t *testing.T) []string {
	t.Helper()
	files := []string{"README.md", "SECURITY.md", "CONTRIBUTING.md"}
	entries, err := os.ReadDir("../../docs")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".md") {
			files = append(files, "docs/"+e.Name())
		}
	}
	return files
}

func readDoc(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
