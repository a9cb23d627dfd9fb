//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// environment returns the variables that set a flag, the first that is set
// deciding: KUBE_NFLOG_<FLAG>, then those of a DaemonSet's downward API and of
// kube-iptables-tailer, so that its DaemonSet can be moved over by changing the
// image.
func environment(flag string) []variable {
	own := variable{"KUBE_NFLOG_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")), asIs}
	others := map[string]variable{
		"group":                {"NFLOG_GROUP", asIs},
		"node-name":            {"NODE_NAME", asIs},
		"prefix":               {"IPTABLES_LOG_PREFIX", asIs},
		"kube-api-server":      {"KUBE_API_SERVER", asIs},
		"event-reason":         {"KUBE_EVENT_DISPLAY_REASON", asIs},
		"event-source":         {"KUBE_EVENT_SOURCE_COMPONENT_NAME", asIs},
		"listen":               {"METRICS_SERVER_PORT", asPort},
		"pod-identifier":       {"POD_IDENTIFIER", asIs},
		"pod-identifier-label": {"POD_IDENTIFIER_LABEL", asIs},
		"log-level":            {"LOG_LEVEL", strings.ToLower},
	}
	if other, ok := others[flag]; ok {
		return []variable{own, other}
	}
	return []variable{own}
}

type variable struct {
	name string
	read func(string) string
}

func asIs(value string) string { return value }

func asPort(value string) string { return ":" + value }

// parse takes args and the environment into the flags: a flag on the command
// line comes before KUBE_NFLOG_<FLAG>, that before the others. It reports
// everything that cannot be read, all at once.
func parse(flags *pflag.FlagSet, args []string) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) { f.Value = &collecting{Value: f.Value, flag: "--" + f.Name, errs: &errs} })
	errs = append(errs, unknownFlags(flags, args)...)
	flags.ParseErrorsAllowlist.UnknownFlags = true // reported already, all of them
	if err := flags.Parse(args); err != nil {
		return errors.Join(append(errs, flagError(err))...)
	}
	if len(flags.Args()) > 0 {
		errs = append(errs, fmt.Errorf("run takes no arguments, got %q", flags.Args()))
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Changed {
			setFromEnvironment(f)
		}
	})
	return errors.Join(errs...)
}

func setFromEnvironment(f *pflag.Flag) {
	for _, v := range environment(f.Name) {
		if value := os.Getenv(v.name); value != "" {
			c := f.Value.(*collecting) //nolint:forcetypeassert // parse has put it there
			c.flag += " (from " + v.name + ")"
			_ = c.Set(v.read(value)) // never fails: it collects
			return
		}
	}
}

// unknownFlags finds the flags among args that do not exist. pflag would stop
// at the first.
func unknownFlags(flags *pflag.FlagSet, args []string) []error {
	var errs []error
	for i := 0; i < len(args) && args[i] != "--"; i++ {
		if len(args[i]) < 2 || args[i][0] != '-' {
			continue
		}
		written, _, hasValue := strings.Cut(args[i], "=")
		f := flags.Lookup(strings.TrimPrefix(written, "--"))
		switch {
		case f == nil || !strings.HasPrefix(written, "--"):
			errs = append(errs, fmt.Errorf("%s: no such flag, see --help", written))
		case !hasValue && f.NoOptDefVal == "":
			i++ // the next argument is its value, whatever it looks like
		}
	}
	return errs
}

// collecting is a flag's value that notes an error instead of returning it, so
// that parsing goes on to the next.
type collecting struct {
	pflag.Value

	flag string
	errs *[]error
}

func (c *collecting) Set(text string) error {
	before := c.Value.String()
	if err := c.Value.Set(text); err != nil {
		_ = c.Value.Set(before) // pflag sets numbers to 0, which validate would report as well
		*c.errs = append(*c.errs, fmt.Errorf("%s: %q is not %s", c.flag, text, inWords(c.Type())))
	}
	return nil
}
