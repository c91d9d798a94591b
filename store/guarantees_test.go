package store

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Each test that docs/guarantees.md names is there, somewhere in the module.
func TestGuaranteesNameTests(t *testing.T) {
	page, err := os.ReadFile("../docs/guarantees.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 20 {
		t.Fatalf("the page names %d tests: it changed its form", len(named))
	}
	for _, n := range named {
		found, err := exec.Command("grep", "-rlE", "^func "+n[1]+`\(`, "..", "--include=*_test.go").Output()
		if err != nil || strings.TrimSpace(string(found)) == "" {
			t.Errorf("%s is nowhere: %v", n[1], err)
		}
	}
}
