// Package docs tests the documentation against the code.
package docs

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store"
)

const module = "github.com/dncd/dncd/"

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// pages are the Markdown files of the repository, by their paths from its root.
func pages(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			found = append(found, filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator))))
		}
		if err == nil && d.IsDir() && len(d.Name()) > 2 && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var code = regexp.MustCompile("`([^`\n]+)`")

// codeOf are the parts of a text that stand between backquotes.
func codeOf(text string) []string {
	var found []string
	for _, m := range code.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

var quotedCode = regexp.MustCompile("`[^`]*`")

// prose are the lines of a page, without code.
func prose(page string) []string {
	lines, inCode := strings.Split(page, "\n"), false
	for i, line := range lines {
		if strings.HasPrefix(line, "```") {
			inCode = !inCode
		}
		if inCode || strings.HasPrefix(line, "    ") {
			line = ""
		}
		lines[i] = quotedCode.ReplaceAllString(line, "")
	}
	return lines
}

// packageRow is a row of the table of packages in CONTRIBUTING.md.
type packageRow struct{ own, others []string }

func packageTable(t *testing.T) map[string]packageRow {
	t.Helper()
	rows := map[string]packageRow{}
	for line := range strings.Lines(read(t, "CONTRIBUTING.md")) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || !strings.HasPrefix(line, "| `") {
			continue
		}
		rows[codeOf(cells[1])[0]] = packageRow{codeOf(cells[3]), codeOf(cells[4])}
	}
	return rows
}

// CONTRIBUTING.md names every package with all that it imports.
func TestPackageTable(t *testing.T) {
	list := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...")
	list.Dir, list.Env = "..", append(os.Environ(), "GOOS=linux") // which imports most
	out, err := list.Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	rows := packageTable(t)
	for line := range strings.Lines(string(out)) {
		imports := strings.Fields(line)
		name := strings.TrimPrefix(imports[0], module)
		row, ok := rows[name]
		if !ok {
			t.Errorf("CONTRIBUTING.md has no row for %s: add it to the table of packages", name)
			continue
		}
		delete(rows, name)
		row.compare(t, name, imports[1:])
	}
	for name := range rows {
		t.Errorf("CONTRIBUTING.md has a row for %s, which is no package: remove it", name)
	}
}

func (r *packageRow) compare(t *testing.T, name string, imports []string) {
	t.Helper()
	var own, unnamed []string
	used := map[string]bool{}
	for _, path := range imports {
		first, _, _ := strings.Cut(path, "/")
		if inner, ok := strings.CutPrefix(path, module); ok {
			own = append(own, inner)
		} else if i := slices.IndexFunc(r.others, func(o string) bool { return strings.Contains(path, o) }); i >= 0 {
			used[r.others[i]] = true
		} else if strings.Contains(first, ".") {
			unnamed = append(unnamed, path)
		}
	}
	if !slices.Equal(r.own, own) {
		t.Errorf("CONTRIBUTING.md: %s imports from this module: got %q, want %q", name, r.own, own)
	}
	if len(unnamed) > 0 || len(used) != len(r.others) {
		t.Errorf("CONTRIBUTING.md: %s: other modules: got %q, of which it uses %v; not named: %q", name, r.others, used, unnamed)
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// Every relative link leads to a file.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(strings.Join(prose(read(t, page)), "\n"), -1) {
			if _, err := os.Stat(filepath.Join("..", filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

var sourcePath = regexp.MustCompile(`^(client|cmd|docs|internal|proto|server|store)/[\w./*-]+$`)

// Every source file that the architecture names exists.
func TestArchitectureNamesFiles(t *testing.T) {
	const page = "docs/ARCHITECTURE.md"
	named := 0
	for _, path := range codeOf(read(t, page)) {
		if !sourcePath.MatchString(path) {
			continue
		}
		named++
		if found, err := filepath.Glob(filepath.Join("..", path)); err != nil || len(found) == 0 {
			t.Errorf("%s names %s, which is not there", page, path)
		}
	}
	if named == 0 {
		t.Errorf("%s names no source file", page)
	}
}

// The index of design names every decision.
func TestDesignIndex(t *testing.T) {
	index := read(t, "docs/design/README.md")
	files, err := filepath.Glob("design/[0-9]*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("design: got %d pages, %v; want some", len(files), err)
	}
	for _, f := range files {
		if !strings.Contains(index, "("+filepath.Base(f)+")") {
			t.Errorf("docs/design/README.md does not list %s", filepath.Base(f))
		}
	}
}

// The architecture names every file of a data directory that was used.
func TestDataDirectory(t *testing.T) {
	var rows []string
	for line := range strings.Lines(read(t, "docs/ARCHITECTURE.md")) {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, codeOf(line)...)
		}
	}
	dir := filepath.Join(t.TempDir(), "data")
	fill(t, dir)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !slices.ContainsFunc(rows, func(r string) bool { name, _, _ := strings.Cut(r, "/"); return name == f.Name() }) {
			t.Errorf("docs/ARCHITECTURE.md does not say what %s is", f.Name())
		}
	}
	for _, want := range []string{"badger", "stories", "blocks", "filters", "stage", "stage-records", "mark", "LOCK"} {
		if !slices.ContainsFunc(files, func(f fs.DirEntry) bool { return f.Name() == want }) {
			t.Errorf("a store has no %s, which the test was to make", want)
		}
	}
}

// fill makes a store with an opt-out, an import of opt-outs and a list whose import was not committed.
func fill(t *testing.T, dir string) {
	t.Helper()
	s, err := store.Open(dir, store.Options{MinFree: -1})
	must(t, err)
	n, err := phone.Parse("+14155550123")
	must(t, err)
	_, err = s.RecordOptOut(context.Background(), store.OptOut{Number: n}, store.Request{Story: store.Story{Desk: "after-sales"}})
	must(t, err)
	_, _, err = s.CreateList(context.Background(), "partner", store.Settings{Kind: policy.ListSuppression}, store.Request{})
	must(t, err)
	i, err := s.BeginImport(store.Header{List: "partner", Mode: store.Replace})
	must(t, err)
	must(t, i.Close())
	r, err := s.BeginRecords(store.RecordsHeader{})
	must(t, err)
	must(t, r.Close())
	must(t, s.Close())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
