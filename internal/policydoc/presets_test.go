package policydoc

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
)

func preset(t *testing.T, codes ...string) *Document {
	t.Helper()
	text, err := Preset(codes...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Parse(text, place.Holidays)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The values of the presets, each by itself, as the page of rules gives them: see docs/policies.md.
func TestPresetsHoldTheRules(t *testing.T) {
	t.Parallel()
	months := func(n int) policy.Period { return policy.Period{Months: n} }
	week := func(spans ...policy.Span) (w [7][]policy.Span) {
		for day := 1; day <= 5; day++ {
			w[day] = spans
		}
		return w
	}
	permission := policy.Counts{Kind: policy.Permission}
	usual := &policy.OptOutRule{Reach: policy.ReachScope}
	all := week(policy.Span{From: 480, To: 1260})
	all[0], all[6] = all[1], all[1]
	canada := week(policy.Span{From: 540, To: 1290})
	canada[0], canada[6] = []policy.Span{{From: 600, To: 1080}}, []policy.Span{{From: 600, To: 1080}}
	want := map[string]Sections{
		"US": {
			OptOuts: usual,
			Lists: []policy.ListRule{
				{Name: "us-ftc", Required: true, MaxAgeDays: 31, Overridden: []policy.Counts{
					{Kind: policy.Permission, Form: policy.Written}, {Kind: policy.Purchase, Valid: months(18)}, {Kind: policy.Inquiry, Valid: months(3)}}},
				{Kind: policy.ListRegistry, MaxAgeDays: 31},
			},
			Hours:     &Hours{Open: all},
			Deadlines: &Deadlines{HonourDays: 10, BusinessDays: true, KeepOptOuts: months(60)},
		},
		"CA": {
			OptOuts: usual,
			Lists: []policy.ListRule{{Kind: policy.ListRegistry, Required: true, MaxAgeDays: 31, Overridden: []policy.Counts{
				{Kind: policy.Purchase, Valid: months(18)}, {Kind: policy.Inquiry, Valid: months(6)}, {Kind: policy.Contract, AfterEnd: months(18)}}}},
			Hours:     &Hours{Open: canada},
			Deadlines: &Deadlines{HonourDays: 14, KeepOptOuts: policy.Period{Months: 36, Days: 14}},
		},
		"GB": {
			OptOuts: usual,
			Lists:   []policy.ListRule{{Kind: policy.ListRegistry, Required: true, MaxAgeDays: 28, Overridden: []policy.Counts{permission}}},
		},
		"FR": {
			Consent:   &policy.ConsentRule{Required: true, Counts: []policy.Counts{{Kind: policy.Permission, Valid: months(12)}, {Kind: policy.Contract}}},
			OptOuts:   usual,
			Hours:     &Hours{Open: week(policy.Span{From: 600, To: 780}, policy.Span{From: 840, To: 1200}), Holidays: true},
			Deadlines: &Deadlines{KeepOptOuts: months(36), KeepProof: months(36)},
		},
		"DE": {
			Consent:   &policy.ConsentRule{Required: true, Counts: []policy.Counts{permission}},
			OptOuts:   usual,
			Deadlines: &Deadlines{KeepProof: months(60), FromEachUse: true},
		},
		"ES": {
			Consent: &policy.ConsentRule{Required: true, Counts: []policy.Counts{{Kind: policy.Permission, Valid: months(24)}}},
			OptOuts: usual,
			Hours:   &Hours{Open: week(policy.Span{From: 540, To: 1260}), Holidays: true},
		},
		"IT": {
			OptOuts: usual,
			Lists:   []policy.ListRule{{Kind: policy.ListRegistry, Required: true, Overridden: []policy.Counts{{Kind: policy.Contract, AfterEnd: policy.Period{Days: 30}}}}},
		},
	}
	reviews := map[string]Review{"US": Primary, "DE": Primary, "CA": Secondary, "GB": Secondary, "FR": Secondary, "ES": NotReviewed, "IT": NotReviewed}
	if got := Presets(); len(got) != len(want) {
		t.Errorf("presets %v, want those of %d countries", got, len(want))
	}
	for code, sections := range want {
		d := preset(t, code)
		c := d.Countries[0]
		if d.AllowUnnamed || c.Code != code || c.AsOf.String() != "2026-11-30" || c.Review != reviews[code] || len(c.Scopes) != 0 {
			t.Errorf("%s: %+v", code, c)
		}
		if !strings.Contains(c.Note, "Consumers only") {
			t.Errorf("%s: the note says %q, and not that it is for consumers only", code, c.Note)
		}
		if c.Review == Secondary && !strings.Contains(c.Note, "read by counsel") {
			t.Errorf("%s: the note says %q, and not that counsel should read it", code, c.Note)
		}
		checkSources(t, &c)
		if diff := cmp.Diff(sections, withoutSources(c.Sections)); diff != "" {
			t.Errorf("%s differs from the rules (-want +got):\n%s", code, diff)
		}
	}
}

// checkSources fails for a section without a source, and for one that does not say what its reasons have to say.
func checkSources(t *testing.T, c *Country) {
	t.Helper()
	must := map[string]string{"US": "federal only", "ES": "not reviewed", "IT": "not reviewed"}[c.Code]
	for _, name := range sectionNames {
		n := c.section(name)
		if n == nil {
			continue
		}
		text := flow(n)
		if !strings.Contains(text, "source: ") || !strings.Contains(text, must) {
			t.Errorf("%s: %s has no source that says %q: %s", c.Code, name, must, text)
		}
	}
}

func withoutSources(s Sections) Sections {
	if s.Consent != nil {
		s.Consent.Source = ""
	}
	if s.OptOuts != nil {
		s.OptOuts.Source = ""
	}
	if s.Hours != nil {
		s.Hours.Source = ""
	}
	if s.Deadlines != nil {
		s.Deadlines.Source = ""
	}
	for i := range s.Lists {
		s.Lists[i].Source = ""
	}
	return s
}

// What the presets only show or name.
func TestPresetsSayWhatTheyLeaveOut(t *testing.T) {
	t.Parallel()
	for code, words := range map[string][]string{
		"US": {"Florida: 8:00-20:00", "31 Jan 2027", "12:00-21:00 (secondary)", "is signed (64.1200(c)(2)(ii))"},
		"CA": {"from memory", "grace is not used"},
		"GB": {"28 days of grace after a registration are not used", "#   acme/claims:", "17.5 million GBP"},
		"FR": {"at most 4 calls or attempts in 30 calendar days", "#   - scope: acme/energy", "Bloctel ended on 10 Aug 2026", "23 Sep 2026", "appointment", "names the nature of the goods",
			"home adaptation: banned even with consent, by scope"},
		"DE": {"each use"},
		"IT": {"RPO", "cancels all earlier consents", "whether the RPO was asked", "declare as its coverage only what you"},
	} {
		text, err := Preset(code)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s does not say %q", code, w)
			}
		}
	}
}

// The examples in comments are documents too.
func TestExamplesOfPresetsAreValid(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"FR", "GB"} {
		text, err := Preset(code)
		if err != nil {
			t.Fatal(err)
		}
		opened := strings.ReplaceAll(string(text), "    # ", "    ")
		opened = strings.ReplaceAll(opened, "\n    With consent", "\n    # With consent")
		opened = strings.ReplaceAll(opened, "\n    Energy renovation", "\n    # Energy renovation")
		opened = strings.ReplaceAll(opened, "\n    Claims management", "\n    # Claims management")
		d, err := Parse([]byte(opened), place.Holidays)
		if err != nil {
			t.Errorf("%s: %v\n%s", code, err, opened)
			continue
		}
		if c := d.Countries[0]; len(c.Banned)+len(c.Scopes) != 1 {
			t.Errorf("%s: the example is not there: %+v", code, c)
		}
	}
}

func TestPresetsTogether(t *testing.T) {
	t.Parallel()
	d := preset(t, Presets()...)
	if got := codes(d); !slices.Equal(got, Presets()) {
		t.Errorf("countries %v, want %v", got, Presets())
	}
	if _, err := Preset("FR", "XX"); err == nil || !strings.Contains(err.Error(), `no preset for "XX": there are CA, DE`) {
		t.Errorf("an unknown preset: %v", err)
	}
}
