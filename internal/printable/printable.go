// Package printable makes text from outside safe to print: prefixes of rules, names of
// processes, what a stranger answers. The text goes to terminals, logs, events and metric
// labels. There a control character could move the cursor, and an invisible character could
// hide or reorder text.
package printable

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns s with each character that is not printable replaced. Bytes that are not
// UTF-8 are replaced too.
func Text(s string, replacement rune) string {
	if isASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return replacement
		}
		return r
	}, s)
}

// Prefix returns an NFLOG prefix in the form in which all packages show and compare it.
func Prefix(raw string) string { return Text(raw, '?') }

// Is reports whether Text would return s unchanged.
func Is(s string) bool {
	return isASCII(s) || !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) })
}

// isASCII reports whether s has only printable ASCII characters. That is the usual case, and
// is fast to find out.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
