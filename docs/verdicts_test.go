package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

var orderRow = regexp.MustCompile(`(?m)^\| (\d+) \| [^|]+ \| (\w+)(?:, (\w+))? \| ([^|]+) \|$`)

// situation is facts and a rule for which rows of the table hold.
type situation struct {
	facts policy.Facts
	rule  policy.Rule
	p     policy.Policy
}

// holds makes each row of docs/verdicts.md but the last hold, by its number.
var holds = map[int]func(*situation){
	1: func(s *situation) { s.rule.Banned = []policy.Ban{{Scope: "acme"}} },
	2: func(s *situation) { s.facts.Records = []policy.Record{{Kind: policy.RecordOptOut, Scope: "acme"}} },
	3: func(s *situation) { s.rule.Consent.Required = true },
	4: func(s *situation) { s.list("listed", func(m *policy.Membership) { m.Listed = true }) },
	5: func(s *situation) { s.facts.Damaged = true },
	6: func(s *situation) { s.p.Unreadable = true },
	7: func(s *situation) { s.p.Countries = nil },
	8: func(s *situation) { s.list("not loaded", func(m *policy.Membership) { m.List.Loaded = false }) },
	9: func(s *situation) { s.list("not covering", func(m *policy.Membership) { m.Covered = false }) },
	10: func(s *situation) {
		s.list("stale", func(m *policy.Membership) { m.List.MaxAgeDays, m.List.SnapshotDate = 1, 1 })
	},
	11: func(s *situation) {
		s.rule.Hours, s.facts.Place = &policy.Hours{}, policy.Place{}
	},
	12: func(s *situation) { s.rule.Hours = &policy.Hours{} },
}

func (s *situation) list(name string, change func(*policy.Membership)) {
	m := policy.Membership{List: &policy.List{Name: name, Loaded: true}, Covered: true}
	change(&m)
	s.facts.Lists = append(s.facts.Lists, m)
}

// decide is the decision where some rows hold. A row of a rule holds nowhere that has none, and what cannot be read is not
// known to be absent: such rows are taken out.
func decide(rows int) (d policy.Decision, first int) {
	in := func(row int) bool { return rows>>row&1 == 1 }
	ruled := !in(6) && !in(7)
	us, _ := phone.Jurisdiction("US")
	s := situation{facts: policy.Facts{Scope: "acme", Regions: us, Place: policy.Place{Zones: []*policy.Zone{policy.NewZone(time.UTC)}}}}
	s.p.Countries = []policy.Country{{Code: "US", Regions: us, Rule: &s.rule}}
	first = 13
	for row := 12; row >= 1; row-- {
		byRule := row == 1 || row == 3 || row >= 11
		if !in(row) || byRule && !ruled {
			continue
		}
		holds[row](&s)
		if row != 3 || !in(5) {
			first = row
		}
	}
	return policy.Decide(&s.facts, &s.p, time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)), first
}

// Whatever rows of the table hold, the first of them decides, with its answer and its reason.
func TestVerdictsAreDecidedInThisOrder(t *testing.T) {
	rows := orderRow.FindAllStringSubmatch(read(t, "docs/verdicts.md"), -1)
	if len(rows) != 13 {
		t.Fatalf("docs/verdicts.md has %d rows of the order, want 13", len(rows))
	}
	for i, row := range rows {
		if row[1] != fmt.Sprint(i+1) {
			t.Fatalf("row %d has the number %s", i+1, row[1])
		}
	}
	for set := 0; set < 1<<13; set += 2 {
		d, first := decide(set)
		want := rows[first-1]
		verdict := strings.TrimPrefix(dncv1.Verdict(d.Verdict).String(), "VERDICT_")
		kind := strings.TrimPrefix(dncv1.ReasonKind(d.Reasons[0].Kind).String(), "REASON_KIND_")
		if doubt := d.Verdict == policy.Unknown; doubt { // reasons of doubt come in the order of lists
			kind = want[4]
			if got := policydoc.CauseWord(d.Cause); got != want[3] {
				t.Fatalf("rows %b: the cause is %s, and row %d says %s", set, got, first, want[3])
			}
		}
		if verdict != want[2] || first < 13 && kind != want[4] {
			t.Fatalf("rows %b: %s by %s, and row %d says %s by %s", set, verdict, kind, first, want[2], want[4])
		}
	}
}

var scenarioRow = regexp.MustCompile("(?m)^\\| (.+) \\| ([A-Z_, ]+) \\| `([a-z0-9-]+)` \\|$")

var wanted = regexp.MustCompile(`verdict: (\w+)`)

// Each scenario is in the table, with its title and its answers. TestScenarios makes its checks.
func TestVerdictsListScenarios(t *testing.T) {
	rows := map[string]string{}
	for _, row := range scenarioRow.FindAllStringSubmatch(read(t, "docs/verdicts.md"), -1) {
		rows[row[3]] = row[1] + ": " + row[2]
	}
	files, err := filepath.Glob("../internal/scenario/testdata/*.txtar")
	must(t, err)
	if len(files) < 60 || len(rows) != len(files) {
		t.Errorf("%d scenarios and %d rows", len(files), len(rows))
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		must(t, err)
		title, _, _ := strings.Cut(string(text), ".\n")
		var answers []string
		for _, want := range wanted.FindAllStringSubmatch(string(text), -1) {
			answers = append(answers, want[1])
		}
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		if want := title + ": " + strings.Join(answers, ", "); rows[name] != want {
			t.Errorf("%s: the table says %q, want %q", name, rows[name], want)
		}
	}
}
