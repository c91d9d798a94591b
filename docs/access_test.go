package docs

import (
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/access"
)

// bounds are the words of docs/access.md for what holds a call within the caller's scopes.
var bounds = map[access.Bound]string{
	access.Nothing:      "nothing",
	access.RequestScope: "the scope of the request",
	access.ListScope:    "the scope of the list",
	access.EachItem:     "the scope of each item",

	access.SubscriberScopes: "the scopes of the subscriber",

	access.Filtered:  "the answer is filtered",
	access.Unbounded: "only callers without a bound",
}

// TestAccessTable compares the table of calls in docs/access.md with the rules.
func TestAccessTable(t *testing.T) {
	var want []string
	for _, rpc := range slices.Sorted(maps.Keys(access.Rules)) {
		rule := access.Rules[rpc]
		roles, logged := "all", ""
		if rule.Roles != 0 {
			roles = strings.ReplaceAll(rule.Roles.String(), " or ", ", ")
		}
		if rule.Log {
			logged = " yes"
		}
		if bounds[rule.Bound] == "" {
			t.Fatalf("%s is bound by something that docs/access.md has no words for", rpc)
		}
		want = append(want, fmt.Sprintf("| %#q | %s | %s |%s |", strings.TrimPrefix(rpc, "dnc.v1."), roles, bounds[rule.Bound], logged))
	}
	_, page, found := strings.Cut(read(t, "docs/access.md"), "| call | roles | bound by | access log |\n|---|---|---|---|\n")
	got, _, _ := strings.Cut(page, "\n\n")
	if diff := cmp.Diff(want, strings.Split(got, "\n")); !found || diff != "" {
		t.Errorf("docs/access.md, \"Which role may call what\" (-want +got):\n%s", diff)
	}
}

// TestAccessNamesTests: each test that docs/access.md, docs/privacy.md and SECURITY.md name exists.
func TestAccessNamesTests(t *testing.T) {
	for _, page := range []string{"docs/access.md", "docs/privacy.md", "SECURITY.md"} {
		named := 0
		for _, name := range codeOf(read(t, page)) {
			if !namedTest.MatchString(name) {
				continue
			}
			named++
			found, err := exec.Command("grep", "-rlE", "^func "+regexp.QuoteMeta(name)+`\(`, "..", "--include=*_test.go").Output()
			if err != nil || len(found) == 0 {
				t.Errorf("%s names %s, which is no test", page, name)
			}
		}
		if named == 0 {
			t.Errorf("%s names no test", page)
		}
	}
}
