package printable

import "testing"

// TestText replaces what may not be printed, and leaves the rest alone.
func TestText(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"ASCII", "deny: shop/api", "deny: shop/api"},
		{"letters of any language", "Straße 東京", "Straße 東京"},
		{"a control character", "a\x1b[31mb", "a?[31mb"},
		{"a line break", "a\nb\u2028c", "a?b?c"},
		{"a character that reorders text", "a\u202eb", "a?b"},
		{"a zero width space", "a\u200bb", "a?b"},
		{"bytes that are not UTF-8", "a\xff\xc3b", "a??b"},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Text(tt.text, '?'); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if got := Is(tt.text); got != (tt.text == tt.want) {
				t.Errorf("Is = %v", got)
			}
		})
	}
}
