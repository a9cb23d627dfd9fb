package dialect

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Parser parses prefixes.
type Parser struct {
	dialect Dialect
	pattern *regexp.Regexp // nil for none
}

const (
	maxPattern = 1024 // bytes; the cost of a pattern grows with its length
	maxParsed  = 256  // bytes of a prefix; the kernel's prefixes are shorter
)

// NewParser returns a parser for a dialect, "" for Auto. pattern is a regular expression
// for other prefixes, "" for none. Its named group "policy" is the policy's name, and its
// group "verdict" a word such as drop or accept.
func NewParser(d Dialect, pattern string) (*Parser, error) {
	if d == "" {
		d = Auto
	}
	if !slices.Contains(Names(), string(d)) {
		return nil, fmt.Errorf("dialect %q is none of %s", d, strings.Join(Names(), ", "))
	}
	p := &Parser{dialect: d}
	if pattern == "" {
		return p, nil
	}
	var err error
	if p.pattern, err = compile(pattern); err != nil {
		return nil, fmt.Errorf("prefix pattern: %w", err)
	}
	return p, nil
}

// The groups of a pattern.
const (
	groupPolicy  = "policy"
	groupVerdict = "verdict"
)

func compile(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("longer than %d bytes", maxPattern)
	}
	r, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	for _, name := range r.SubexpNames() {
		if name != "" && name != groupPolicy && name != groupVerdict {
			return nil, fmt.Errorf("the group %q is neither policy nor verdict", name)
		}
	}
	if r.SubexpIndex(groupPolicy) < 0 && r.SubexpIndex(groupVerdict) < 0 {
		return nil, errors.New("it has no group named policy or verdict: (?P<policy>…)")
	}
	return r, nil
}

// Parse returns what a prefix says. If it cannot parse the prefix, it returns the zero
// value.
func (p *Parser) Parse(prefix string) PrefixInfo {
	if prefix == "" || len(prefix) > maxParsed {
		return PrefixInfo{}
	}
	if info, ok := p.parsePattern(prefix); ok {
		return info
	}
	if p.dialect == Auto || p.dialect == K3s {
		if info, ok := parseK3s(prefix); ok {
			return info
		}
	}
	if p.dialect == Auto || p.dialect == Calico {
		if info, ok := parseCalico(prefix); ok {
			return info
		}
	}
	return PrefixInfo{}
}

// Allows reports whether a prefix belongs to packets that were allowed.
func (p *Parser) Allows(prefix string) bool { return p.Parse(prefix).Action == Allowed }

// parsePattern parses a prefix with the user's pattern.
func (p *Parser) parsePattern(prefix string) (PrefixInfo, bool) {
	if p.pattern == nil {
		return PrefixInfo{}, false
	}
	found := p.pattern.FindStringSubmatch(prefix)
	if found == nil {
		return PrefixInfo{}, false
	}
	var info PrefixInfo
	if i := p.pattern.SubexpIndex(groupPolicy); i >= 0 && found[i] != "" {
		info.Kind, info.Policy = "policy", found[i]
	}
	if i := p.pattern.SubexpIndex(groupVerdict); i >= 0 {
		info.Action = actionOf(found[i])
	}
	return info, true
}

// actionOf returns the action for a word.
func actionOf(word string) Action {
	switch strings.ToLower(word) {
	case "a", "allow", "allowed", "accept", "accepted", "pass", "passed", "permit", "permitted":
		return Allowed
	case "d", "deny", "denied", "drop", "dropped", "reject", "rejected", "block", "blocked":
		return Denied
	}
	return Unspecified
}
