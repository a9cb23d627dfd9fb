//go:build linux

package main

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestArchitectureFolders compares the folders in docs/architecture.md with the packages.
func TestArchitectureFolders(t *testing.T) {
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z/-]+)` \\| [^`]").FindAllStringSubmatch(section(t, "docs/architecture.md", "Folders"), -1) {
		documented = append(documented, m[1])
	}
	there := []string{"deploy", "test"}
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		folder := filepath.ToSlash(strings.TrimPrefix(path, "../../"))
		if folder == "test" || folder == "bin" || strings.HasPrefix(entry.Name(), ".git") {
			return fs.SkipDir
		}
		if files, _ := filepath.Glob(filepath.Join(path, "*.go")); files != nil {
			there = append(there, folder)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(documented)
	slices.Sort(there)
	if diff := cmp.Diff(there, documented); diff != "" {
		t.Errorf("docs/architecture.md, -want +got:\n%s", diff)
	}
}

// TestImageHasPackages checks that .dockerignore includes each package of the agent.
// Otherwise the image does not build.
func TestImageHasPackages(t *testing.T) {
	context := readDoc(t, ".dockerignore")
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)[a-z/-]*` \\| [^`]").FindAllStringSubmatch(section(t, "docs/architecture.md", "Folders"), -1) {
		if folder := m[1]; folder != "deploy" && folder != "test" && !strings.Contains(context, "\n!"+folder+"\n") {
			t.Errorf(".dockerignore leaves %s out", folder)
		}
	}
}

// TestArchitectureBounds checks each bound in docs/architecture.md against the named file.
func TestArchitectureBounds(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| .* \\| `(\\w+)` = `([^`]+)` \\| `([^`]+)` \\|").
		FindAllStringSubmatch(section(t, "docs/architecture.md", "Bounds"), -1)
	if len(rows) < 8 {
		t.Errorf("only %d bounds were found", len(rows))
	}
	for _, row := range rows {
		set := regexp.MustCompile(`(?m)\b` + row[1] + `\b *[=,] *` + regexp.QuoteMeta(row[2]) + `\b`)
		if !set.MatchString(readDoc(t, row[3])) {
			t.Errorf("%s does not say that %s is %s", row[3], row[1], row[2])
		}
	}
}

// TestOwnersReadWhatIsWritten checks that the texts in docs/application-owners.md are texts
// that tests expect, except for names, which vary.
func TestOwnersReadWhatIsWritten(t *testing.T) {
	var expected strings.Builder
	for _, pattern := range []string{"emit/event/*_test.go", "policy/explain/*_test.go", "test/*_test.go", "test/testdata/*", "test/emit/testdata/*"} {
		files, err := filepath.Glob("../../" + pattern)
		if err != nil || files == nil {
			t.Fatalf("no %s (%v)", pattern, err)
		}
		for _, file := range files {
			expected.WriteString(readDoc(t, strings.TrimPrefix(file, "../../")))
		}
	}
	names := regexp.MustCompile(`…|"[^"]*"|\(10\S+|\(x10.*|\bshop/[^ :]+|\bn1\b|\b12 s\b|[0-9,]+|/TCP|[();:]`)
	found := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `(.*)` \\|").FindAllStringSubmatch(section(t, "docs/application-owners.md", "How to read it"), -1) {
		for _, words := range names.Split(m[1], -1) {
			if words = strings.TrimSpace(words); strings.Contains(words, " ") {
				found++
				if !strings.Contains(expected.String(), words) {
					t.Errorf("no test expects %q", words)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d phrases were found", found)
	}
}

// section returns the text below a heading of a document.
func section(t *testing.T, doc, heading string) string {
	t.Helper()
	_, text, found := strings.Cut(readDoc(t, doc), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("%s has no heading %q", doc, heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}
