package docs

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest = regexp.MustCompile("^Test[A-Za-z0-9]+$")
	guarantee = regexp.MustCompile(`(?m)^\*\*(\d+)\. `)
)

// Each test that docs/guarantees.md names is there, somewhere in the module.
func TestGuaranteesNameTests(t *testing.T) {
	page := read(t, "docs/guarantees.md")
	count := 0
	for _, name := range codeOf(page) {
		if !namedTest.MatchString(name) {
			continue
		}
		count++
		found, err := exec.Command("grep", "-rlE", "^func "+name+`\(`, "..", "--include=*_test.go").Output()
		if err != nil || strings.TrimSpace(string(found)) == "" {
			t.Errorf("docs/guarantees.md names %s, which is no test: got %v", name, err)
		}
	}
	if count < 20 {
		t.Fatalf("docs/guarantees.md names %d tests, want at least 20: it changed its form", count)
	}
}

// The guarantees are numbered without a gap, and each names a test.
func TestGuaranteesAreNumbered(t *testing.T) {
	page, _, _ := strings.Cut(read(t, "docs/guarantees.md"), "\n## ")
	starts := guarantee.FindAllStringSubmatchIndex(page, -1)
	for i, at := range starts {
		number, end := page[at[2]:at[3]], len(page)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		if want := fmt.Sprint(i + 1); number != want {
			t.Errorf("docs/guarantees.md: got guarantee %s, want %s", number, want)
		}
		if !strings.Contains(page[at[0]:end], "`Test") {
			t.Errorf("docs/guarantees.md: guarantee %s names no test", number)
		}
	}
	if len(starts) == 0 {
		t.Error("docs/guarantees.md has no numbered guarantee")
	}
}
