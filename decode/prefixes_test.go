package decode

import (
	"fmt"
	"testing"
)

func TestPrefixes(t *testing.T) {
	p := newPrefixes([]string{"calico-drop:", "deny"})
	tests := []struct {
		raw, want string
		wanted    bool
	}{
		{"calico-drop: ", "calico-drop: ", true},
		{"deny", "deny", true},
		{"den", "den", false},
		{"", "", false},
		{"deny\x1b[31m\n", "deny?[31m?", true},
		{"deny\xff\x00", "deny??", true},
		{"deny ä", "deny ä", true},
	}
	for range 2 { // from the rules, then from memory
		for _, tt := range tests {
			got, wanted := p.intern([]byte(tt.raw))
			if got != tt.want || wanted != tt.wanted {
				t.Errorf("intern(%q) = %q, %v, want %q, %v", tt.raw, got, wanted, tt.want, tt.wanted)
			}
		}
	}
}

func TestPrefixesAreBounded(t *testing.T) {
	p := newPrefixes(nil)
	for i := range 2 * maxPrefixes {
		p.intern(fmt.Appendf(nil, "rule %d", i))
	}
	if len(p.known) != maxPrefixes {
		t.Errorf("%d prefixes are kept, want %d", len(p.known), maxPrefixes)
	}
	if got, wanted := p.intern([]byte("one more")); got != otherPrefix || !wanted {
		t.Errorf("one more = %q, %v", got, wanted)
	}
	if got, _ := p.intern([]byte("rule 0")); got != "rule 0" {
		t.Errorf("a known one = %q", got)
	}
}
