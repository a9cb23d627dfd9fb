package emit

import (
	"unicode"
	"unicode/utf8"

	"github.com/kube-nflog/kube-nflog/internal/printable"
)

// Clean makes text from outside safe to print. It replaces bytes that are not UTF-8,
// control characters, and invisible characters that reorder or break lines by
// U+FFFD.
func Clean(s string) string {
	return printable.Text(s, unicode.ReplacementChar)
}

// Cut shortens s to at most limit bytes, between two characters. An ellipsis shows
// where it was cut.
func Cut(s string, limit int) string {
	const ellipsis = "…"
	if len(s) <= limit {
		return s
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
