//go:build linux

package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestLinks checks the links in the documents: the files exist, and so do the headings.
func TestLinks(t *testing.T) {
	docs := append(documents(t), "CHANGELOG.md", "test/README.md")
	designs, err := filepath.Glob("../../docs/design/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range designs {
		docs = append(docs, strings.TrimPrefix(file, "../../"))
	}
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	for _, doc := range docs {
		for _, m := range link.FindAllStringSubmatch(readDoc(t, doc), -1) {
			target := doc
			if m[1] != "" {
				target = path.Join(path.Dir(doc), m[1])
			}
			if _, err := os.Stat("../../" + target); err != nil {
				t.Errorf("%s: %v", doc, err)
				continue
			}
			if m[2] != "" && !anchors(readDoc(t, target))[m[2]] {
				t.Errorf("%s: %s has no heading for #%s", doc, target, m[2])
			}
		}
	}
}

// anchors returns the anchors that GitHub gives to a document's headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^#+ (.*)$").FindAllStringSubmatch(text, -1) {
		heading := strings.ToLower(m[1])
		heading = regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, "")
		found[strings.ReplaceAll(heading, " ", "-")] = true
	}
	return found
}

// TestIndex checks that docs/README.md lists every document.
func TestIndex(t *testing.T) {
	index := readDoc(t, "docs/README.md")
	for _, pattern := range []string{"*.md", "design/*.md"} {
		files, err := filepath.Glob("../../docs/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := filepath.ToSlash(strings.TrimPrefix(file, "../../docs/"))
			if name != "README.md" && !strings.Contains(index, "]("+name+")") {
				t.Errorf("docs/README.md does not list %s", name)
			}
		}
	}
}

// TestReadmeIsShort keeps the README short enough for newcomers. Details belong
// into docs/.
func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(readDoc(t, "README.md"), "\n"); lines >= 150 {
		t.Errorf("README.md has %d lines, want less than 150", lines)
	}
}
