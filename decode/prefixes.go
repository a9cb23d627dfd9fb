package decode

import (
	"strings"

	"github.com/kube-nflog/kube-nflog/internal/printable"
)

// maxPrefixes bounds how many distinct prefixes are told apart. A node's rules have a
// handful. The prefixes beyond share one text.
const maxPrefixes = 1024

// otherPrefix stands for the prefixes beyond that bound.
const otherPrefix = "(other prefixes)"

// prefixes turns the bytes of NFLOG prefixes into texts. It makes each text once, so
// that a packet does not allocate.
type prefixes struct {
	cfg   Config
	known map[string]prefix // by their bytes
}

type prefix struct {
	text   string // safe to print
	wanted bool
}

func newPrefixes(cfg Config) prefixes { return prefixes{cfg: cfg, known: make(map[string]prefix)} }

// intern returns the prefix as text that is safe to print, and whether its packets are
// wanted.
func (p *prefixes) intern(raw []byte) (text string, wanted bool) {
	known, ok := p.known[string(raw)]
	if !ok {
		known = prefix{text: otherPrefix, wanted: p.wants(string(raw))}
		if len(p.known) < maxPrefixes {
			known.text = printable.Prefix(string(raw))
			p.known[string(raw)] = known
		}
	}
	return known.text, known.wanted
}

func (p *prefixes) wants(raw string) bool {
	if p.cfg.Ignore != nil && p.cfg.Ignore(raw) {
		return false
	}
	for _, w := range p.cfg.Prefixes {
		if strings.HasPrefix(raw, w) {
			return true
		}
	}
	return len(p.cfg.Prefixes) == 0
}
