package policydoc

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/policy"
)

func TestWhatIsWrittenReadsTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawDocument(t)
		text := want.Write()
		got, err := Parse(text, known)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("read differs from written (-want +got):\n%s\n%s", diff, text)
		}
		if again := got.Write(); string(again) != string(text) {
			t.Fatalf("written again:\n%s\nfirst:\n%s", again, text)
		}
		if changes := Diff(want, got); len(changes) > 0 {
			t.Fatalf("a document differs from itself: %+v", changes)
		}
	})
}

func TestPeriodsAreReadAsWritten(t *testing.T) {
	t.Parallel()
	for months := range 12*maxPeriod + 1 {
		for _, days := range []int{0, 1, maxPeriod} {
			want := policy.Period{Months: months, Days: days}
			if got, ok := parsePeriod(periodText(want)); got != want || ok == want.IsZero() {
				t.Fatalf("%+v is written %q, and read as %+v, %v", want, periodText(want), got, ok)
			}
		}
	}
}

func TestEmptyChangesNoAnswer(t *testing.T) {
	t.Parallel()
	d, err := Parse(Empty().Write(), known)
	if err != nil {
		t.Fatal(err)
	}
	p := d.Compile("1", known)
	if !p.AllowUnnamed || len(p.Countries) > 0 {
		t.Errorf("compiled to %+v, want no countries and allow", p)
	}
	if changes := Loosens(nil, p); len(changes) > 0 {
		t.Errorf("it loosens %+v", changes)
	}
	if changes := Loosens(p, nil); len(changes) > 0 {
		t.Errorf("its end loosens %+v", changes)
	}
}

// country is a document with some lines of one country, which begin in line 5, column 5.
func country(code string, lines ...string) string {
	return "format: 1\ndefault: unknown\ncountries:\n  " + code + ":\n    " + strings.Join(lines, "\n    ") + "\n"
}

func TestProblemsHaveLineAndColumn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "line 1, column 1: the file is empty"},
		{"no YAML", "format: 1\ndefault: allow: x\n", "line 2, column 1: not YAML: mapping values are not allowed"},
		{"a list", "- 1\n", "line 1, column 1: a policy must be a mapping"},
		{"two documents", "format: 1\ndefault: allow\n---\nformat: 1\n", "line 1, column 1: more than one document"},
		{"no format", "default: allow\n", "line 1, column 1: format is missing: write format: 1"},
		{"a newer format", "format: 2\ndefault: allow\n", "line 1, column 1: format 2 is newer than this version reads"},
		{"no default", "format: 1\n", "line 1, column 1: default is missing"},
		{"another default", "format: 1\ndefault: block\n", `line 2, column 10: default must be unknown or allow, not "block"`},
		{"an unknown key", "format: 1\ndefault: allow\ncountry: {}\n", `line 3, column 1: a policy has no key "country": it has countries, default, format`},
		{"a key twice", "format: 1\ndefault: allow\ndefault: unknown\n", `line 3, column 1: "default" is there twice`},
		{"a reference", "format: 1\ndefault: &x allow\ncountries: *x\n", "line 3, column 12: countries must be a mapping"},
		{"an unknown country", country("XX", "review: primary"), `line 4, column 3: "XX" is no country`},
		{"a country twice", country("FR", "review: primary") + "  fr: {}\n", "line 6, column 3: FR is there twice"},
		{"a territory twice", country("PR", "review: primary") + "  US: {}\n", "line 6, column 3: PR has rules of both PR and US"},
		{"an unknown section", country("FR", "consents: {}"), `line 5, column 5: a country has no key "consents": it has as_of, banned, consent,`},
		{"no mapping", country("FR", "consent: true"), "line 5, column 14: consent must be a mapping"},
		{"no date", country("FR", "as_of: yesterday"), "line 5, column 12: as_of must be a date such as 2026-11-30"},
		{"no truth", country("FR", "consent: {required: maybe}"), "line 5, column 25: required must be true or false"},
		{"another truth", country("FR", "consent: {required: !!bool yes, counts: [{kind: contract}]}"), "line 5, column 25: required must be true or false"},
		{"a period that adds up to too much", country("FR", "deadlines: {keep_proof: 1200 years 1 month}"), "line 5, column 29: keep_proof must be a period"},
		{"nothing counts", country("FR", "consent: {required: true}"), "line 5, column 14: a consent is required and none counts"},
		{"an unknown kind", country("FR", "consent:", "  counts: [{kind: friendship}]"), `line 6, column 23: kind must be permission or purchase or inquiry or contract, not "friendship"`},
		{"no kind", country("FR", "consent:", "  counts: [{valid: 1 year}]"), "line 6, column 16: kind is missing"},
		{"no period", country("FR", "consent:", "  counts: [{kind: permission, valid: a while}]"), `line 6, column 42: valid must be a period such as 31 days, 18 months or 1 year, not "a while"`},
		{"the form of a purchase", country("FR", "consent:", "  counts: [{kind: purchase, form: written}]"), "line 6, column 16: only a permission has a form"},
		{"a purchase that ends", country("FR", "consent:", "  counts: [{kind: purchase, after_end: 1 year}]"), "line 6, column 16: only a contract counts after its end"},
		{"the same twice", country("FR", "consent:", "  counts: [{kind: purchase}, {kind: purchase}]"), "line 6, column 34: the same is there twice in counts"},
		{"an unknown reach", country("FR", "opt_outs: {reach: world}"), `line 5, column 23: reach must be scope or brand or everyone, not "world"`},
		{"a form that lifts nothing", country("FR", "opt_outs: {form: written}"), "line 5, column 15: form and valid are of the permission"},
		{"a list of nothing", country("FR", "lists:", "  - required: true"), "line 6, column 9: a rule for lists names either one list"},
		{"a list of both", country("FR", "lists:", "  - {list: tps, kind: registry}"), "line 6, column 9: a rule for lists names either one list"},
		{"no name", country("FR", "lists: [{list: A B}]"), `line 5, column 13: "A B" is no name of a list`},
		{"two rules for a kind", country("FR", "lists: [{kind: registry}, {kind: registry, required: true}]"), "line 5, column 31: there are two rules for the same list"},
		{"no age", country("FR", "lists: [{kind: registry, max_age_days: 0}]"), "line 5, column 44: max_age_days must be a whole number from 1"},
		{"overridden by what", country("FR", "lists: [{kind: registry, overridden_by: [{kind: opt-out}]}]"), "line 5, column 53: kind must be permission or"},
		{"no day", country("FR", `hours: {monday: ["9:00-10:00"]}`), `line 5, column 13: hours has no key "monday"`},
		{"a day twice", country("FR", `hours: {mon-fri: ["9:00-10:00"], wed: ["9:00-11:00"]}`), "line 5, column 38: wed is there twice"},
		{"no time", country("FR", `hours: {mon: ["9-10"]}`), `line 5, column 19: open hours must be written as "9:00-21:30", not "9-10"`},
		{"a time that ends before it begins", country("FR", `hours: {mon: ["20:00-8:00"]}`), "line 5, column 19: open hours must be written as"},
		{"a time that is none", country("FR", `hours: {mon: ["9:00-24:01"]}`), "line 5, column 19: open hours must be written as"},
		{"overlapping times", country("FR", `hours: {mon: ["9:00-13:00", "12:59-14:00"]}`), "line 5, column 33: 12:59-14:00 overlaps 9:00-13:00"},
		{"never open", country("FR", "hours: {holidays: closed}"), "line 5, column 12: no day is open"},
		{"regional holidays of none", country("FR", `hours: {mon: ["9:00-10:00"], regional_holidays: strict}`), "line 5, column 12: regional_holidays are those of holidays: closed"},
		{"holidays that are not known", country("ES", `hours: {mon: ["9:00-10:00"], holidays: closed}`), "line 5, column 44: the public holidays of ES are not known"},
		{"a ban of nobody", country("FR", "banned: [{except: []}]"), "line 5, column 14: scope is missing"},
		{"a ban of no scope", country("FR", "banned: [{scope: a b}]"), "line 5, column 22: scope: invalid scope"},
		{"a scope that is none", country("FR", "scopes: {a//b: {}}"), "line 5, column 14: a scope: invalid scope"},
		{"a scope of everyone", country("FR", `scopes: {"": {}}`), "line 5, column 14: a scope must be a path"},
		{"a scope twice", country("FR", "scopes: {acme: {}, Acme: {}}"), "line 5, column 24: scope acme is there twice"},
		{"scopes below a scope", country("FR", "scopes: {acme: {scopes: {}}}"), `line 5, column 21: a scope has no key "scopes"`},
		{"no deadline", country("FR", "deadlines: {honour_opt_outs: soon}"), "line 5, column 34: honour_opt_outs must be days"},
		{"a proof of nothing", country("FR", "deadlines: {keep_proof_from: each use}"), "line 5, column 16: keep_proof_from says from when"},
	} {
		_, err := Parse([]byte(c.text), known)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v\nwant %s", c.name, err, c.want)
		}
	}
}

func TestProblemsComeTogetherInOrder(t *testing.T) {
	t.Parallel()
	_, err := Parse([]byte(country("FR", "consent: 1", "hours: 2")+"  QQ: {}\n"), known)
	want := `line 5, column 14: consent must be a mapping of keys to values
line 6, column 12: hours must be a mapping of keys to values
line 7, column 3: "QQ" is no country: write its two letters of ISO 3166, such as FR`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err := Parse([]byte(strings.Repeat("#", MaxBytes+1)), known); err == nil || !strings.Contains(err.Error(), "longer than 240 KiB") {
		t.Errorf("a long document: %v", err)
	}
}

// A scope has the country's sections, but for those that it or a scope above it has.
func TestScopesDifferBySection(t *testing.T) {
	t.Parallel()
	d, err := Parse([]byte(country("FR",
		"consent: {required: true, counts: [{kind: permission}]}",
		"lists: [{kind: suppression}, {list: tps}]",
		`hours: {mon-fri: ["9:00-10:00"], holidays: closed}`,
		"scopes:",
		"  acme/energy/winter: {lists: []}",
		"  acme/energy: {hours: not checked}",
		"  acme: {consent: {required: false}}")), known)
	if err != nil {
		t.Fatal(err)
	}
	p := d.Compile("7-abc", known)
	c := p.Countries[0]
	if p.Version != "7-abc" || c.Code != "FR" || c.Regions.Len() < 5 || len(c.Scoped) != 3 {
		t.Fatalf("compiled to %+v", p)
	}
	type sum struct {
		Name     string
		Required bool
		Lists    int
		Hours    bool
	}
	var got []sum
	for _, r := range rulesOf(&c) {
		got = append(got, sum{r.Name, r.Consent.Required, len(r.Lists), r.Hours != nil})
	}
	want := []sum{
		{"FR", true, 2, true},
		{"FR at acme", false, 2, true},
		{"FR at acme/energy", false, 2, false},
		{"FR at acme/energy/winter", false, 0, false},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules differ (-want +got):\n%s", diff)
	}
	if l := c.Rule.Lists; l[0].Name != "tps" || l[1].Kind != policy.ListSuppression {
		t.Errorf("lists by name come first: %+v", l)
	}
	if h := c.Rule.Hours; h.Holidays == nil || len(h.Holidays.AnyRegion) != 1 || len(h.Open[1]) != 1 || h.Open[0] != nil {
		t.Errorf("hours: %+v", h)
	}
}

func TestDiffInWords(t *testing.T) {
	t.Parallel()
	read := func(text string) *Document {
		d, err := Parse([]byte(text), known)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := read(country("FR", "consent: {required: true, counts: [{kind: permission, valid: 1 year}]}", "scopes: {acme: {service: {permitted: true}}}") + "  DE: {review: primary}\n")
	after := read("format: 1\ndefault: allow\ncountries:\n  FR: {consent: {required: false}, hours: {mon-sat: ['9:00-12:00']}}\n  CA: {hours: {mon-sun: ['9:00-12:00']}, scopes: {acme: {service: {permitted: true}}}}\n")
	var got []string
	for _, c := range Diff(before, after) {
		got = append(got, c.Where()+" "+c.What+": "+c.Before+" -> "+c.After)
	}
	want := []string{
		"countries not named: default changed: unknown -> allow",
		"CA named:  -> ",
		"CA: review added:  -> not reviewed",
		"CA: hours added:  -> {mon-sun: [\"9:00-12:00\"], holidays: ignored}",
		"CA at acme: service added:  -> {permitted: true}",
		"DE no longer named:  -> ",
		"DE: review removed: primary -> ",
		"FR: consent changed: {required: true, counts: [{kind: permission, valid: 12 months}]} -> {required: false}",
		"FR: hours added:  -> {mon-sat: [\"9:00-12:00\"], holidays: ignored}",
		"FR at acme: service removed: {permitted: true} -> ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diff (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, code := range Presets() {
		text, err := Preset(code)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("format: 1\ndefault: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Parse(text, known)
		if err != nil {
			return
		}
		d.Compile("", known)
		again, err := Parse(d.Write(), known)
		if err != nil {
			t.Fatalf("%v\n%s", err, d.Write())
		}
		if diff := cmp.Diff(d, again); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	})
}
