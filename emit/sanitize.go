package emit

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text from outside safe to print: bytes that are not UTF-8,
// control characters, and the invisible ones that reorder or break lines,
// become U+FFFD.
func Clean(s string) string {
	if printableASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Cut shortens s to at most limit bytes, between two characters, and says so
// by an ellipsis.
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
