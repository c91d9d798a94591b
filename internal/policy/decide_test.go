package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC)

func day(t *testing.T, s string) Date {
	t.Helper()
	d, err := ParseDate(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// optOutAt is an opt-out at a scope that ends at the given time from noon; 0: never.
func optOutAt(scope Scope, ends time.Duration) Record {
	r := Record{Kind: RecordOptOut, Scope: scope}
	if ends != 0 {
		r.ExpiresAt = noon.Add(ends)
	}
	return r
}

func TestDecideByRecords(t *testing.T) {
	const h = time.Hour
	for _, c := range []struct {
		name    string
		caller  Scope
		records []Record
		want    Verdict
		reasons []int         // indexes of the records
		until   time.Duration // from noon; 0: never
	}{
		{name: "nothing known", want: Allow},
		{name: "at the caller's scope", caller: "acme", records: []Record{optOutAt("acme", 0)}, want: Block, reasons: []int{0}},
		{name: "above the caller", caller: "acme/telecom/winter", records: []Record{optOutAt("acme", 0)}, want: Block, reasons: []int{0}},
		{name: "for everyone", caller: "acme", records: []Record{optOutAt("", 0)}, want: Block, reasons: []int{0}},
		{name: "below the caller", caller: "acme", records: []Record{optOutAt("acme/telecom", 0)}, want: Allow},
		{name: "beside the caller", caller: "acmeco", records: []Record{optOutAt("acme", 0)}, want: Allow},
		{name: "shorter name", caller: "acme", records: []Record{optOutAt("acmeco", 0)}, want: Allow},
		{name: "a caller without scope", records: []Record{optOutAt("acme/telecom", 0)}, want: Block, reasons: []int{0}},
		{name: "just in force", records: []Record{optOutAt("", 1)}, want: Block, reasons: []int{0}, until: 1},
		{name: "ends now", records: []Record{{Kind: RecordOptOut, ExpiresAt: noon}}, want: Allow},
		{name: "ended", records: []Record{optOutAt("", -h)}, want: Allow},
		{name: "the last of two ends", records: []Record{optOutAt("", 2*h), optOutAt("", h)}, want: Block, reasons: []int{0, 1}, until: 2 * h},
		{name: "one never ends", records: []Record{optOutAt("", 0), optOutAt("", h)}, want: Block, reasons: []int{0, 1}},
		{name: "never ends, told last", records: []Record{optOutAt("", h), optOutAt("", 0)}, want: Block, reasons: []int{0, 1}},
		{name: "only those that hold", caller: "acme", records: []Record{optOutAt("other", 0), optOutAt("", -h), optOutAt("acme", h)},
			want: Block, reasons: []int{2}, until: h},
		{name: "a record of no kind", records: []Record{{Scope: ""}}, want: Allow},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &Facts{Scope: c.caller, Records: c.records}
			want := Decision{Verdict: c.want}
			for _, i := range c.reasons {
				want.Reasons = append(want.Reasons, Reason{Kind: OptedOut, Record: &f.Records[i]})
			}
			if c.until != 0 {
				want.ValidUntil = noon.Add(c.until)
			}
			got := Decide(f, nil, noon)
			if got.Verdict == Allow {
				got.Reasons = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("decision differs (-want +got):\n%s", diff)
			}
		})
	}
}

// Memberships as a check meets them; each has a list of its own name.
func listed() Membership {
	return Membership{List: &List{Name: "listed", Loaded: true}, Listed: true}
}

func cleared() Membership {
	return Membership{List: &List{Name: "clear", Loaded: true}, Covered: true}
}

func notCovered() Membership {
	return Membership{List: &List{Name: "not covered", Loaded: true}}
}

func notLoaded() Membership {
	return Membership{List: &List{Name: "not loaded"}}
}

func unreadable() Membership {
	return Membership{List: &List{Name: "damaged", Loaded: true}, Covered: true, Damaged: true}
}

func stale() Membership {
	return Membership{List: &List{Name: "stale", Loaded: true, SnapshotDate: DateOf(noon) - 32, MaxAgeDays: 31}, Covered: true}
}

func fresh(days int) Membership {
	return Membership{List: &List{Name: "fresh", Loaded: true, SnapshotDate: DateOf(noon), MaxAgeDays: days}, Covered: true}
}

// outside is what a list says of a number of another country.
func outside(m Membership) Membership {
	m.Outside = true
	return m
}

func TestDecideByLists(t *testing.T) {
	staleListed := stale()
	staleListed.Listed = true
	midnight := noon.Truncate(24 * time.Hour)
	for _, c := range []struct {
		name   string
		lists  []Membership
		want   Verdict
		cause  Cause
		named  []string // lists among the reasons
		causes []Cause
		until  time.Time
	}{
		{name: "cleared", lists: []Membership{cleared()}, want: Allow},
		{name: "listed", lists: []Membership{listed()}, want: Block, named: []string{"listed"}, causes: []Cause{CauseNone}},
		{name: "one list does not clear another", lists: []Membership{cleared(), listed(), cleared()}, want: Block,
			named: []string{"listed"}, causes: []Cause{CauseNone}},
		{name: "block beats unknown", lists: []Membership{unreadable(), notLoaded(), listed(), stale()}, want: Block,
			named: []string{"listed"}, causes: []Cause{CauseNone}},
		{name: "an old list still blocks", lists: []Membership{staleListed}, want: Block, named: []string{"stale"}, causes: []Cause{CauseNone}},
		{name: "unknown beats allow", lists: []Membership{cleared(), notCovered(), cleared()}, want: Unknown, cause: NotCovered,
			named: []string{"not covered"}, causes: []Cause{NotCovered}},
		{name: "not loaded", lists: []Membership{notLoaded()}, want: Unknown, cause: NotLoaded,
			named: []string{"not loaded"}, causes: []Cause{NotLoaded}},
		{name: "stale", lists: []Membership{stale()}, want: Unknown, cause: StaleList, named: []string{"stale"}, causes: []Cause{StaleList}},
		{name: "damaged", lists: []Membership{unreadable()}, want: Unknown, cause: DataDamaged,
			named: []string{"damaged"}, causes: []Cause{DataDamaged}},
		{name: "causes by precedence", lists: []Membership{stale(), notCovered(), notLoaded(), unreadable()}, want: Unknown, cause: DataDamaged,
			named:  []string{"stale", "not covered", "not loaded", "damaged"},
			causes: []Cause{StaleList, NotCovered, NotLoaded, DataDamaged}},
		{name: "precedence, other order", lists: []Membership{notLoaded(), notCovered(), stale()}, want: Unknown, cause: NotLoaded,
			named:  []string{"not loaded", "not covered", "stale"},
			causes: []Cause{NotLoaded, NotCovered, StaleList}},
		{name: "not covered before stale", lists: []Membership{notCovered(), stale()}, want: Unknown, cause: NotCovered,
			named: []string{"not covered", "stale"}, causes: []Cause{NotCovered, StaleList}},
		{name: "listed outside the jurisdiction", lists: []Membership{cleared(), outside(listed())}, want: Block,
			named: []string{"listed"}, causes: []Cause{CauseNone}},
		{name: "listed outside the jurisdiction, on an old list", lists: []Membership{outside(staleListed)}, want: Block,
			named: []string{"stale"}, causes: []Cause{CauseNone}},
		{name: "not loaded, not covered, stale: all outside", want: Allow,
			lists: []Membership{outside(notLoaded()), outside(notCovered()), outside(stale())}},
		{name: "damaged outside", lists: []Membership{outside(unreadable())}, want: Unknown, cause: DataDamaged,
			named: []string{"damaged"}, causes: []Cause{DataDamaged}},
		{name: "an age outside ends no answer", lists: []Membership{fresh(9), outside(fresh(2))}, want: Allow, until: midnight.AddDate(0, 0, 10)},
		{name: "the first to grow old", lists: []Membership{fresh(31), fresh(2), cleared(), fresh(9)}, want: Allow, until: midnight.AddDate(0, 0, 3)},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(&Facts{Lists: c.lists}, nil, noon)
			if d.Verdict != c.want || d.Cause != c.cause || !d.ValidUntil.Equal(c.until) {
				t.Errorf("verdict %d cause %d until %v, want %d %d %v", d.Verdict, d.Cause, d.ValidUntil, c.want, c.cause, c.until)
			}
			var named []string
			var causes []Cause
			for _, r := range d.Reasons {
				if d.Verdict == Allow {
					break // TestAllowSaysWhatItRestsOn
				}
				if r.Record != nil {
					t.Error("a list's reason names a record")
				}
				named, causes = append(named, r.List.Name), append(causes, r.Cause)
			}
			if diff := cmp.Diff(c.named, named); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.causes, causes); diff != "" {
				t.Errorf("their causes (-want +got):\n%s", diff)
			}
		})
	}
}

// An own opt-out goes first: what lists say, or that something is damaged, changes nothing.
func TestDecideAsksRecordsFirst(t *testing.T) {
	f := &Facts{
		Records: []Record{optOutAt("", time.Hour)},
		Lists:   []Membership{listed(), notLoaded()},
		Damaged: true,
	}
	d := Decide(f, nil, noon)
	if d.Verdict != Block || d.Cause != CauseNone || len(d.Reasons) != 1 || d.Reasons[0].Record != &f.Records[0] {
		t.Errorf("decision %+v, want BLOCK by the record alone", d)
	}
}

func TestDecideDamagedFacts(t *testing.T) {
	for _, c := range []struct {
		name  string
		lists []Membership
		want  Verdict
		cause Cause
	}{
		{"nothing else known", nil, Unknown, DataDamaged},
		{"a list clears", []Membership{cleared()}, Unknown, DataDamaged},
		{"a list is in doubt", []Membership{stale()}, Unknown, DataDamaged},
		{"a list blocks", []Membership{listed()}, Block, CauseNone},
	} {
		if d := Decide(&Facts{Damaged: true, Lists: c.lists}, nil, noon); d.Verdict != c.want || d.Cause != c.cause {
			t.Errorf("%s: verdict %d cause %d, want %d %d", c.name, d.Verdict, d.Cause, c.want, c.cause)
		}
	}
}

func TestDecideByAge(t *testing.T) {
	taken := day(t, "2026-08-09")
	list := &List{Loaded: true, SnapshotDate: taken, MaxAgeDays: 31}
	for _, c := range []struct {
		now  string
		want Verdict
	}{
		{"2026-08-09T00:00:00Z", Allow},
		{"2026-09-09T00:00:00Z", Allow}, // day 31
		{"2026-09-09T23:59:59.999999999Z", Allow},
		{"2026-09-10T00:00:00Z", Unknown},      // day 32
		{"2026-09-10T01:00:00+02:00", Allow},   // still day 31 in UTC
		{"2026-09-09T23:00:00-02:00", Unknown}, // day 32 in UTC
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		d := Decide(&Facts{Lists: []Membership{{List: list, Covered: true}}}, nil, now)
		if d.Verdict != c.want || (c.want == Unknown) != (d.Cause == StaleList) {
			t.Errorf("%s: verdict %d cause %d, want %d", c.now, d.Verdict, d.Cause, c.want)
		}
		if end := day(t, "2026-09-10").Time(); c.want == Allow && !d.ValidUntil.Equal(end) {
			t.Errorf("%s: valid until %v, want %v", c.now, d.ValidUntil, end)
		}
	}
}

func TestMaxAgeWithoutDateIsStale(t *testing.T) {
	m := Membership{List: &List{Loaded: true, MaxAgeDays: 31}, Covered: true}
	if d := Decide(&Facts{Lists: []Membership{m}}, nil, noon); d.Verdict != Unknown || d.Cause != StaleList {
		t.Errorf("verdict %d cause %d, want UNKNOWN STALE_LIST", d.Verdict, d.Cause)
	}
	m.List = &List{Loaded: true, SnapshotDate: day(t, "1999-01-01")}
	if d := Decide(&Facts{Lists: []Membership{m}}, nil, noon); d.Verdict != Allow || !d.ValidUntil.IsZero() {
		t.Errorf("no maximum age: %+v, want ALLOW for ever", d)
	}
}

func TestZeroValuesAreNotCallable(t *testing.T) {
	var v Verdict
	var d Decision
	if v == Allow || d.Verdict == Allow {
		t.Error("a zero value is callable")
	}
	if v != Unspecified {
		t.Errorf("the zero verdict is %d, want Unspecified", v)
	}
	// A list that nobody filled in clears nothing.
	if d := Decide(&Facts{Lists: []Membership{{List: &List{}}}}, nil, noon); d.Verdict != Unknown {
		t.Errorf("a zero membership: verdict %d, want UNKNOWN", d.Verdict)
	}
}
