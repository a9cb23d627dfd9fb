//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// environment returns the variables that set a flag, the first that is set
// deciding: KUBE_NFLOG_<FLAG>, then those of a DaemonSet's downward API and of
// kube-iptables-tailer, so that its DaemonSet can be moved over by changing the
// image.
func environment(flag string) []variable {
	own := variable{ownVariables + strings.ToUpper(strings.ReplaceAll(flag, "-", "_")), asIs}
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

// parse takes args and the environment into the flags, whose values are o's: a
// flag on the command line comes before KUBE_NFLOG_<FLAG>, that before the
// others. It reports everything that cannot be read, all at once. o.ignored
// names the variables that are a Service's and no setting.
func (o *options) parse(flags *pflag.FlagSet, args []string) error {
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
	o.fromVariable = map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Changed {
			o.setFromEnvironment(f)
		}
	})
	return errors.Join(append(errs, o.unknownVariables(flags)...)...)
}

func (o *options) setFromEnvironment(f *pflag.Flag) {
	for _, v := range environment(f.Name) {
		value := os.Getenv(v.name)
		if value == "" {
			continue
		}
		if isServiceLink(v.name, value) {
			o.ignored = append(o.ignored, v.name)
			continue
		}
		o.fromVariable[f.Name] = v.name
		c := f.Value.(*collecting) //nolint:forcetypeassert // parse has put it there
		c.flag = o.nameOf(f.Name)
		_ = c.Set(v.read(value)) // never fails: it collects
		return
	}
}

// nameOf returns a flag's name for a message, with the variable that set it.
func (o *options) nameOf(flag string) string {
	if variable := o.fromVariable[flag]; variable != "" {
		return "--" + flag + " (from " + variable + ")"
	}
	return "--" + flag
}

// ownVariables is what the names of the agent's own variables begin with.
const ownVariables = "KUBE_NFLOG_"

// unknownVariables finds the variables that are named like the agent's own and
// set no flag. An empty one counts as not set, as everywhere.
func (o *options) unknownVariables(flags *pflag.FlagSet) (errs []error) {
	var known []string
	flags.VisitAll(func(f *pflag.Flag) { known = append(known, environment(f.Name)[0].name) })
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		switch {
		case !strings.HasPrefix(name, ownVariables) || value == "" || slices.Contains(known, name):
		case isServiceLink(name, value):
			o.ignored = append(o.ignored, name)
		default:
			errs = append(errs, fmt.Errorf("%s: no such variable; the nearest is %s", name, nearest(name, known)))
		}
	}
	return errs
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
