package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// habit is a word that this project used in a sense of its own, and what to write instead.
type habit struct {
	words   string // a regular expression, without case
	instead string
	fine    string // what may be written all the same
}

var habits = []habit{
	{`told`, "reported, determined, noted", `told apart`},
	{`tells`, "reports, says, shows", ``},
	{`lies?`, "is, is stored", ``},
	{`alone`, "only", ``},
	{`at once`, "atomically, immediately, concurrently", ``},
	{`so (many|much|long)`, "that many, N, at most N", ``},
	{`go(es)? before|went before`, "takes precedence over, overrides", ``},
	{`go on|goes on|went on`, "continue, resume", ``},
	{`mend(s|ed|ing)?`, "repair, fix, correct", ``},
	{`anew`, "again", ``},
	{`of which`, "whose, or two sentences", `(most|all|some|none|each|one|both) of which`},
	{`by (itself|themselves)`, "automatically", ``},
	{`in spite of`, "despite", ``},
	{`now and then`, "periodically", ``},
	{`held against`, "compared with", ``},
	{`guards? (is|are) asked|asked are|column asked|\| asked`, "is evaluated; target", ``},
	{`whoever|somebody`, "the caller, another process, a person", ``},
	{`the way of`, "like", ``},
	{`the house`, "packages", ``},
	{`of before|as ever|(one|ones|those) before`, "earlier, previous, still", `(one|ones|those) before (it|them|the)`},
	{`be it`, "whether, such as", ``},
	{`but for`, "except", ``},
	{`without a word`, "silently", ``},
}

type matcher struct {
	habit
	found, fine *regexp.Regexp
}

func matchers() []matcher {
	var out []matcher
	for _, h := range habits {
		m := matcher{habit: h, found: regexp.MustCompile(`(?i)(^|[^\w/])(` + h.words + `)\b`)}
		if h.fine != "" {
			m.fine = regexp.MustCompile(`(?i)` + h.fine)
		}
		out = append(out, m)
	}
	return out
}

// spoken are the files whose texts a person reads: help, hints, errors and log lines.
var spoken = []string{
	"../cmd/dnc/*.go", "../cmd/dncd/daemon/*.go", "../client/*.go", "../server/*.go", "../store/*.go",
	"../internal/feed/*.go", "../internal/phone/*.go", "../internal/registry/*.go",
}

// commented are the files whose comments are held to the same words.
var commented = []string{
	"../cmd/dncd/*.go", "../cmd/dncd/daemon/*.go", "../server/*.go",
	"../internal/ascending/*.go", "../internal/chunkhash/*.go", "../internal/codec/*.go", "../internal/feed/*.go", "../internal/filter/*.go",
	"../internal/phone/*.go", "../internal/phone/national/*.go", "../internal/policy/*.go", "../internal/radix/*.go", "../internal/registry/*.go",
}

// TestPlainEnglish holds prose to words that its readers know: pages, comments of the protos, the documentation of
// package client, texts in the code, and the comments of the packages in commented. CONTRIBUTING.md, "Words".
func TestPlainEnglish(t *testing.T) {
	all := matchers()
	check := func(path string, line int, text string) {
		for _, m := range all {
			if m.fine != nil {
				text = m.fine.ReplaceAllString(text, "")
			}
			if found := m.found.FindStringSubmatch(text); found != nil {
				t.Errorf("%s:%d: write %q as: %s", path, line, found[2], m.instead)
			}
		}
	}
	for _, page := range pages(t) {
		for i, line := range prose(read(t, page)) {
			check(page, i+1, line)
		}
	}
	for _, path := range glob(t, "../proto/dnc/v1/*.proto", "../internal/proto/store/v1/*.proto") {
		for i, line := range strings.Split(file(t, path), "\n") {
			if _, comment, found := strings.Cut(line, "//"); found {
				check(path, i+1, comment)
			}
		}
	}
	for _, path := range glob(t, spoken...) {
		texts(t, path, check)
	}
	for _, path := range glob(t, "../client/*.go") {
		docs(t, path, check)
	}
	for _, path := range glob(t, commented...) {
		comments(t, path, check)
	}
}

// texts checks the string literals of a Go file, which hold its help, hints and messages.
func texts(t *testing.T, path string, check func(path string, line int, text string)) {
	t.Helper()
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		l, ok := n.(*ast.BasicLit)
		if !ok || l.Kind != token.STRING {
			return true
		}
		if text, err := strconv.Unquote(l.Value); err == nil {
			check(path, fset.Position(l.Pos()).Line, text)
		}
		return true
	})
}

// docs checks the documentation of a Go file: of its package, and of what it exports.
func docs(t *testing.T, path string, check func(path string, line int, text string)) {
	t.Helper()
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if group := exportedDoc(n); group != nil {
			for _, c := range group.List {
				check(path, fset.Position(c.Pos()).Line, c.Text)
			}
		}
		return true
	})
}

// comments checks every comment of a Go file.
func comments(t *testing.T, path string, check func(path string, line int, text string)) {
	t.Helper()
	fset := token.NewFileSet()
	parsed, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range parsed.Comments {
		for _, c := range group.List {
			check(path, fset.Position(c.Pos()).Line, c.Text)
		}
	}
}

// exportedDoc is the documentation of a package, or of something that is exported; nil: there is none.
func exportedDoc(n ast.Node) *ast.CommentGroup {
	switch n := n.(type) {
	case *ast.File:
		return n.Doc
	case *ast.FuncDecl:
		if n.Name.IsExported() {
			return n.Doc
		}
	case *ast.GenDecl:
		if n.Tok == token.IMPORT || len(n.Specs) == 0 {
			return nil
		}
		if t, ok := n.Specs[0].(*ast.TypeSpec); !ok || t.Name.IsExported() {
			return n.Doc
		}
	case *ast.ValueSpec:
		if n.Names[0].IsExported() {
			return n.Doc
		}
	case *ast.Field:
		if len(n.Names) > 0 && n.Names[0].IsExported() {
			return n.Doc
		}
	}
	return nil
}

func glob(t *testing.T, patterns ...string) []string {
	t.Helper()
	var found []string
	for _, p := range patterns {
		some, err := filepath.Glob(p)
		if err != nil || len(some) == 0 {
			t.Fatalf("%s: got %d files, %v; want some", p, len(some), err)
		}
		found = append(found, some...)
	}
	return slices.DeleteFunc(found, func(path string) bool { return strings.HasSuffix(path, "_test.go") })
}

func file(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A habit is found, and what may be written is not.
func TestHabitsAreFound(t *testing.T) {
	for _, tt := range []struct {
		text string
		want bool
	}{
		{"The list lies in a file.", true},
		{"Most of which is gRPC's", false},
		{"It goes on.", true},
		{"Told by the content", true},
		{"cannot be told apart", false},
		{"a standalone server relies on it", false},
	} {
		got := false
		for _, m := range matchers() {
			text := tt.text
			if m.fine != nil {
				text = m.fine.ReplaceAllString(text, "")
			}
			got = got || m.found.MatchString(text)
		}
		if got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.text, got, tt.want)
		}
	}
}
