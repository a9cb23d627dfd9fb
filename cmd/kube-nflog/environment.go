//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// ownVariables is the prefix of the agent's own variables.
const ownVariables = "KUBE_NFLOG_"

// variable is an environment variable that sets a flag.
type variable struct {
	name string
	read func(string) string // makes the flag's value of the variable's
}

// environment returns the variables that set a flag. The first one that is set
// decides: KUBE_NFLOG_<FLAG> comes first, then a variable of a DaemonSet's downward
// API or of kube-iptables-tailer. With these, its DaemonSet needs only another image.
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

func asIs(value string) string { return value }

func asPort(value string) string { return ":" + value }

// parse reads args and the environment into the flags, which set o. A flag on the
// command line comes first, then KUBE_NFLOG_<FLAG>, then the other variables. parse
// reports everything that it cannot read, all at once. It puts the names of
// variables that belong to a Service into o.ignored.
func (o *options) parse(flags *pflag.FlagSet, args []string) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) { f.Value = &collecting{Value: f.Value, flag: "--" + f.Name, errs: &errs} })
	errs = append(errs, unknownFlags(flags, args)...)
	flags.ParseErrorsAllowlist.UnknownFlags = true // unknownFlags has reported all of them
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

// unknownVariables returns an error for each variable that has the prefix of the
// agent's own variables and sets no flag. An empty variable counts as not set.
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

// unknownFlags returns an error for each flag in args that does not exist. pflag
// would stop at the first.
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
			i++ // the next argument is the flag's value, even if it begins with a dash
		}
	}
	return errs
}

// collecting is a flag's value that collects errors instead of returning them, so
// that parsing goes on to the next flag.
type collecting struct {
	pflag.Value

	flag string
	errs *[]error
}

func (c *collecting) Set(text string) error {
	before := c.Value.String()
	if err := c.Value.Set(text); err != nil {
		_ = c.Value.Set(before) // pflag sets numbers to 0, and validate would report that too
		*c.errs = append(*c.errs, fmt.Errorf("%s: %q is not %s", c.flag, text, inWords(c.Type())))
	}
	return nil
}

// serviceLink is a kind of variable that the kubelet sets in each container for
// each Service of the namespace.
type serviceLink struct {
	ending  *regexp.Regexp // of its name
	isValue func(string) bool
}

// serviceLinks returns all kinds, the longest ending first. The value tells a
// service link from a setting of the same name: METRICS_SERVER_PORT is a variable of
// kube-iptables-tailer, and a service link if a Service is named metrics-server.
func serviceLinks() []serviceLink {
	return []serviceLink{
		{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_PROTO$`), regexp.MustCompile(`^(tcp|udp|sctp)$`).MatchString},
		{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_PORT$`), isPort},
		{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_ADDR$`), isAddress},
		{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)$`), isEndpoint},
		{regexp.MustCompile(`_SERVICE_HOST$`), isAddress},
		{regexp.MustCompile(`_SERVICE_PORT(_[A-Z0-9_]+)?$`), isPort},
		{regexp.MustCompile(`_PORT$`), isEndpoint},
	}
}

// isServiceLink reports whether the kubelet has set a variable for a Service.
func isServiceLink(name, value string) bool {
	for _, l := range serviceLinks() {
		if l.ending.MatchString(name) {
			return l.isValue(value)
		}
	}
	return false
}

func isPort(value string) bool {
	n, err := strconv.ParseUint(value, 10, 16)
	return err == nil && n > 0
}

func isAddress(value string) bool {
	_, err := netip.ParseAddr(value)
	return err == nil
}

// isEndpoint reports whether a value is a URL such as tcp://10.96.0.9:443.
func isEndpoint(value string) bool {
	u, err := url.Parse(value)
	return err == nil && regexp.MustCompile(`^(tcp|udp|sctp)$`).MatchString(u.Scheme) && isAddress(u.Hostname()) && isPort(u.Port())
}

// nearest returns the known name that is the fewest edits away, "" if there are no
// known names.
func nearest(name string, known []string) (best string) {
	least := -1
	for _, k := range known {
		if d := editDistance(name, k); least < 0 || d < least {
			best, least = k, d
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete or replace (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
