package decode

import (
	"fmt"
	"testing"
)

func TestPrefixes(t *testing.T) {
	p := newPrefixes(Config{Prefixes: []string{"calico-drop:", "deny"}})
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
	for range 2 { // new, then known
		for _, tt := range tests {
			got, wanted := p.intern([]byte(tt.raw))
			if got != tt.want || wanted != tt.wanted {
				t.Errorf("intern(%q) = %q, %v, want %q, %v", tt.raw, got, wanted, tt.want, tt.wanted)
			}
		}
	}
}

// TestIgnoredPrefixes has prefixes that stand for no drop. Config.Ignore is called once
// for each.
func TestIgnoredPrefixes(t *testing.T) {
	calls := map[string]int{}
	p := newPrefixes(Config{Prefixes: []string{"API", "DPI"}, Ignore: func(prefix string) bool {
		calls[prefix]++
		return prefix == "API0|x" || prefix == ""
	}})
	for range 3 {
		for prefix, want := range map[string]bool{"API0|x": false, "DPI0|x": true, "": false, "other": false} {
			if _, got := p.intern([]byte(prefix)); got != want {
				t.Errorf("wanted(%q) = %v, want %v", prefix, got, want)
			}
		}
	}
	for prefix, times := range calls {
		if times != 1 {
			t.Errorf("%d calls for %q, want 1", times, prefix)
		}
	}
}

func TestPrefixesAreBounded(t *testing.T) {
	p := newPrefixes(Config{})
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
