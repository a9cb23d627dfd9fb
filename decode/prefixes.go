package decode

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPrefixes bounds how many distinct prefixes are told apart; a node's rules
// have a handful. The rest share one text.
const maxPrefixes = 1024

// otherPrefix stands for the prefixes beyond that bound.
const otherPrefix = "(other prefixes)"

// prefixes turns the bytes of NFLOG prefixes into texts, each made and judged
// once.
type prefixes struct {
	wanted []string
	ignore func(prefix string) bool // nil for none
	known  map[string]prefix
	last   prefix // most packets in a row come from one rule
}

type prefix struct {
	raw, text string
	wanted    bool
}

func newPrefixes(wanted []string) *prefixes {
	p := &prefixes{wanted: wanted, known: make(map[string]prefix)}
	p.last = p.judge("")
	return p
}

// intern returns the prefix as text that is safe to print, and whether the
// filter wants its packets.
func (p *prefixes) intern(raw []byte) (text string, wanted bool) {
	if string(raw) == p.last.raw { // compares without allocating
		return p.last.text, p.last.wanted
	}
	known, ok := p.known[string(raw)]
	if !ok {
		if len(p.known) >= maxPrefixes {
			return otherPrefix, p.wants(raw)
		}
		known = p.judge(string(raw))
		p.known[known.raw] = known
	}
	p.last = known
	return known.text, known.wanted
}

func (p *prefixes) judge(raw string) prefix {
	return prefix{raw: raw, text: sanitise(raw), wanted: p.wants([]byte(raw))}
}

func (p *prefixes) wants(raw []byte) bool {
	if p.ignore != nil && p.ignore(string(raw)) {
		return false
	}
	for _, w := range p.wanted {
		if len(raw) >= len(w) && string(raw[:len(w)]) == w {
			return true
		}
	}
	return len(p.wanted) == 0
}

// sanitise replaces what is not UTF-8 or would not print: the text goes to
// terminals, events and metric labels.
func sanitise(raw string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, raw)
}
