package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// testClock is a clock that a test sets.
type testClock struct{ ns atomic.Int64 }

func clockAt(t time.Time) *testClock {
	c := new(testClock)
	c.set(t)
	return c
}

func (c *testClock) now() time.Time          { return time.Unix(0, c.ns.Load()).UTC() }
func (c *testClock) set(t time.Time)         { c.ns.Store(t.UnixNano()) }
func (c *testClock) advance(d time.Duration) { c.ns.Add(int64(d)) }

func openAt(t testing.TB, dir string, c *testClock) *Store {
	t.Helper()
	o := testOptions()
	o.Clock = c.now
	return openWith(t, dir, o)
}

func digits(numbers ...phone.Number) []uint64 {
	out := make([]uint64, 0, len(numbers))
	for _, n := range numbers {
		out = append(out, uint64(n))
	}
	return out
}

func listOf(t testing.TB, s *Store, name string) *List {
	t.Helper()
	l, err := s.View().List(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func usRegistry(coverage ...string) Settings {
	return Settings{Kind: policy.ListRegistry, Jurisdiction: []string{"US"}, Coverage: coverage}
}

// A list that a write made or changed, and that is gone before anybody looks, is told to be gone.
func TestListThatIsGoneIsTold(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	create := func() (*List, error) {
		l, _, err := s.CreateList(t.Context(), "a", Settings{Kind: policy.ListSuppression}, Request{ID: "once"})
		return l, err
	}
	first, err := create()
	if err != nil || first == nil {
		t.Fatal(first, err)
	}
	if again, err := create(); err != nil || again.ID != first.ID {
		t.Errorf("created once more: %v, %v, want the same list", again, err)
	}
	if _, err := s.DeleteList(t.Context(), first.ID, Request{}); err != nil {
		t.Fatal(err)
	}
	for _, about := range []string{"deleted", "created anew by another"} {
		if l, err := create(); !errors.Is(err, ErrListNotFound) || l != nil {
			t.Errorf("%s: %v, %v, want ErrListNotFound", about, l, err)
		}
		if about == "deleted" {
			createList(t, s, "a", Settings{})
		}
	}
}

func TestListNeverLoadedIsUnknown(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "us-ftc", usRegistry("1415"))
	for _, area := range []int{415, 818} {
		wantVerdict(t, s, fiction(area, 1), "", policy.Unknown, policy.NotLoaded)
	}
	wantVerdict(t, s, fiction(416, 1), "", policy.Allow, policy.CauseNone)
}

func TestListSpeaksOfItsCoverage(t *testing.T) {
	t.Parallel()
	canada, allow, block, unknown := fiction(416, 2), policy.Allow, policy.Block, policy.Unknown
	for _, c := range []struct {
		name      string
		declared  []string
		files     []string
		effective []string // nil: all
		want      map[phone.Number]policy.Verdict
	}{
		{"declared", []string{"1415"}, nil, []string{"1415"}, map[phone.Number]policy.Verdict{
			fiction(415, 1): block, fiction(415, 2): allow, fiction(818, 2): unknown, canada: allow,
		}},
		{"declared and empty", []string{"1415", "1818"}, nil, []string{"1415"}, map[phone.Number]policy.Verdict{
			fiction(415, 2): allow, fiction(818, 2): unknown,
		}},
		{"declared by single numbers' room", []string{"1415555010"}, nil, []string{"1415555010"}, map[phone.Number]policy.Verdict{
			fiction(415, 1): block, fiction(415, 2): allow, fiction(415, 50): unknown,
		}},
		{"of the files", nil, []string{"1415", "1212"}, []string{"1415"}, map[phone.Number]policy.Verdict{
			fiction(415, 2): allow, fiction(212, 2): unknown, fiction(818, 2): unknown,
		}},
		{"declared goes before the files", []string{"1415"}, []string{"1415", "1212", "1818"}, []string{"1415"}, map[phone.Number]policy.Verdict{
			fiction(415, 2): allow, fiction(818, 2): unknown,
		}},
		{"one declared inside another", []string{"1", "1415", "1818"}, nil, []string{"1", "1415"}, map[phone.Number]policy.Verdict{
			fiction(415, 2): allow, fiction(818, 2): allow, fiction(212, 2): allow,
		}},
		{"neither", nil, nil, nil, map[phone.Number]policy.Verdict{
			fiction(415, 1): block, fiction(415, 2): allow, fiction(818, 2): allow, canada: allow,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t, t.TempDir())
			createList(t, s, "us-ftc", usRegistry(c.declared...))
			load(t, s, "us-ftc", Replace, digits(fiction(415, 1)), Commit{FileCoverage: c.files})
			l := listOf(t, s, "us-ftc")
			if diff := cmp.Diff(c.effective, l.Coverage); diff != "" || l.CoversAll != (c.effective == nil) {
				t.Errorf("effective coverage (-want +got), all: %v\n%s", l.CoversAll, diff)
			}
			for n, want := range c.want {
				cause := policy.CauseNone
				if want == unknown {
					cause = policy.NotCovered
				}
				wantVerdict(t, s, n, "", want, cause)
			}
		})
	}
}

func TestListGrowsStaleOnDay32(t *testing.T) {
	t.Parallel()
	taken := time.Date(2026, 9, 9, 0, 0, 0, 0, time.UTC)
	clock := clockAt(taken.Add(12 * time.Hour))
	s := openAt(t, t.TempDir(), clock)
	settings := usRegistry("1415")
	settings.MaxAgeDays = 31
	createList(t, s, "us-ftc", settings)
	load(t, s, "us-ftc", Replace, digits(fiction(415, 1)), Commit{SnapshotDate: policy.DateOf(taken)})
	for _, c := range []struct {
		day   int
		want  policy.Verdict
		cause policy.Cause
	}{
		{0, policy.Allow, policy.CauseNone},
		{31, policy.Allow, policy.CauseNone},
		{32, policy.Unknown, policy.StaleList},
		{400, policy.Unknown, policy.StaleList},
	} {
		for _, at := range []time.Duration{0, 24*time.Hour - 1} {
			clock.set(taken.AddDate(0, 0, c.day).Add(at))
			wantVerdict(t, s, fiction(415, 2), "", c.want, c.cause)
			wantVerdict(t, s, fiction(415, 1), "", policy.Block, policy.CauseNone)
		}
	}
}

func TestListScope(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "sub", Settings{Kind: policy.ListSuppression, Scope: "acme"})
	load(t, s, "sub", Replace, digits(fiction(415, 1)), Commit{})
	for scope, want := range map[policy.Scope]policy.Verdict{
		"acme": policy.Block, "acme/telecom": policy.Block, "": policy.Block,
		"acmeco": policy.Allow, "other": policy.Allow,
	} {
		wantVerdict(t, s, fiction(415, 1), scope, want, policy.CauseNone)
	}
}

func TestListWithoutJurisdictionAppliesEverywhere(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	france := phone.Number(33_199_001_234)
	createList(t, s, "sub", Settings{Kind: policy.ListSuppression})
	wantVerdict(t, s, france, "", policy.Unknown, policy.NotLoaded)
	load(t, s, "sub", Replace, digits(france, fiction(415, 1)), Commit{})
	wantVerdict(t, s, france, "", policy.Block, policy.CauseNone)
	wantVerdict(t, s, france+1, "", policy.Allow, policy.CauseNone)
	wantVerdict(t, s, fiction(416, 1), "", policy.Allow, policy.CauseNone)
}

// Guarantee 5.
func TestOneListNeverClearsAnother(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n, other := fiction(415, 1), digits(fiction(415, 2))
	createList(t, s, "a", usRegistry())
	createList(t, s, "b", usRegistry())
	wantBlock := func(when string) {
		t.Helper()
		if d := verdict(s.View(), n, "", s.Now()); d.Verdict != policy.Block {
			t.Errorf("%s: verdict %d, want BLOCK", when, d.Verdict)
		}
	}
	load(t, s, "a", Replace, digits(n), Commit{})
	load(t, s, "b", Replace, digits(n), Commit{})
	wantBlock("on both")
	load(t, s, "b", Remove, digits(n), Commit{})
	wantBlock("removed from b")
	load(t, s, "b", Replace, other, Commit{})
	wantBlock("b replaced")
	if _, err := s.DeleteList(context.Background(), listOf(t, s, "b").ID, Request{Confirmed: true}); err != nil {
		t.Fatal(err)
	}
	wantBlock("b deleted")
	load(t, s, "a", Replace, other, Commit{})
	wantVerdict(t, s, n, "", policy.Allow, policy.CauseNone)
}

// Guarantee 5: what happens to lists never touches a person's own opt-out.
func TestNoListClearsAnOwnOptOut(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, digits(n, fiction(415, 2)), Commit{})
	optOut(t, s, n, "acme")
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"removed from the list", func() error { load(t, s, "a", Remove, digits(n), Commit{}); return nil }},
		{"list replaced", func() error { load(t, s, "a", Replace, digits(fiction(415, 3)), Commit{}); return nil }},
		{"list deleted", func() error {
			_, err := s.DeleteList(context.Background(), listOf(t, s, "a").ID, Request{Confirmed: true})
			return err
		}},
	} {
		if err := step.do(); err != nil {
			t.Fatal(step.name, err)
		}
		if d := verdict(s.View(), n, "acme", s.Now()); d.Verdict != policy.Block || len(d.Reasons) != 1 || d.Reasons[0].Record == nil {
			t.Errorf("%s: %+v, want BLOCK by the record", step.name, d)
		}
		wantVerdict(t, s, n, "other", policy.Allow, policy.CauseNone)
	}
}

func TestUpdateListTurnsItsCoverage(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "us-ftc", usRegistry())
	load(t, s, "us-ftc", Replace, digits(fiction(415, 1), fiction(818, 1)), Commit{FileCoverage: []string{"1415", "1818", "1212"}})
	for _, c := range []struct {
		declared, effective []string
	}{
		{[]string{"1415"}, []string{"1415"}},
		{[]string{"1212", "1818"}, []string{"1818"}},
		{[]string{"1212"}, nil},
		{[]string{"1"}, []string{"1"}},
		{nil, []string{"1415", "1818"}}, // of the files again
	} {
		l, _, err := s.UpdateList(context.Background(), listNamed(s, "us-ftc"), func(settings *Settings) {
			settings.Coverage = c.declared
			settings.Scope, settings.Kind = "acme", policy.ListLitigator // these stay as they are
		}, Request{Confirmed: true})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.effective, l.Coverage); diff != "" || l.CoversAll {
			t.Errorf("declared %v: effective (-want +got), all: %v\n%s", c.declared, l.CoversAll, diff)
		}
		if l.Kind != policy.ListRegistry || l.Scope != "" {
			t.Errorf("kind %d scope %q, want them as created", l.Kind, l.Scope)
		}
	}
}

func TestUpdatesAtOnceAreAllKept(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry("1201"))
	prefixes := []string{"1202", "1203", "1205", "1206", "1207", "1208"}
	var wg sync.WaitGroup
	for _, p := range prefixes {
		wg.Go(func() {
			_, _, err := s.UpdateList(context.Background(), listNamed(s, "a"), func(settings *Settings) {
				settings.Coverage = append(settings.Coverage, p)
			}, Request{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := listOf(t, s, "a").Settings.Coverage; len(got) != 1+len(prefixes) {
		t.Errorf("coverage %v, want all %d", got, 1+len(prefixes))
	}
}

func TestListsAsOfARevision(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	n, m := fiction(415, 1), fiction(415, 2)
	type state struct {
		exists  bool
		numbers []uint64
		n, m    policy.Verdict
	}
	want := map[uint64]state{0: {n: policy.Allow, m: policy.Allow}}
	note := func(st state) { want[s.View().Revision()] = st }
	createList(t, s, "a", usRegistry())
	note(state{true, []uint64{}, policy.Unknown, policy.Unknown})
	load(t, s, "a", Replace, digits(n), Commit{})
	note(state{true, digits(n), policy.Block, policy.Allow})
	want[s.View().Revision()-1] = want[1] // prepared: not visible
	load(t, s, "a", Replace, digits(m), Commit{})
	note(state{true, digits(m), policy.Allow, policy.Block})
	want[s.View().Revision()-1] = want[s.View().Revision()-2]
	if _, err := s.DeleteList(context.Background(), listOf(t, s, "a").ID, Request{Confirmed: true}); err != nil {
		t.Fatal(err)
	}
	note(state{n: policy.Allow, m: policy.Allow})
	createList(t, s, "a", usRegistry())
	note(state{true, []uint64{}, policy.Unknown, policy.Unknown})

	check := func() {
		t.Helper()
		for revision, st := range want {
			v, err := s.ViewAt(revision)
			if err != nil {
				t.Fatal(revision, err)
			}
			l, err := v.List("a")
			if (err == nil) != st.exists {
				t.Errorf("revision %d: list there: %v, want %v", revision, err == nil, st.exists)
			} else if st.exists {
				if diff := cmp.Diff(st.numbers, exportList(t, v, l)); diff != "" {
					t.Errorf("revision %d: content (-want +got)\n%s", revision, diff)
				}
			}
			for number, w := range map[phone.Number]policy.Verdict{n: st.n, m: st.m} {
				if got := verdict(v, number, "", v.Time()); got.Verdict != w {
					t.Errorf("revision %d: verdict %d, want %d", revision, got.Verdict, w)
				}
			}
		}
	}
	check()
	closeStore(t, s)
	s = open(t, dir)
	check()
	if _, err := s.ViewAt(s.View().Revision() + 1); !errors.Is(err, ErrFutureRevision) {
		t.Errorf("a revision to come: %v, want ErrFutureRevision", err)
	}
}

// Eight lists are created and loaded at once; half of them hold the same numbers.
func TestListsAtOnceKeepTheirContentsApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	contents := func(k int) []uint64 {
		if k%2 == 0 {
			return registryNumbers(20_000)
		}
		numbers := registryNumbers(20_000 + k)
		for i := range numbers {
			numbers[i] += uint64(k)
		}
		return numbers
	}
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			name := fmt.Sprintf("list-%d", k)
			_, _, err := s.CreateList(context.Background(), name, usRegistry(), Request{})
			if err != nil {
				t.Error("create:", err)
				return
			}
			i, err := s.BeginImport(Header{List: name, Mode: Replace})
			if err != nil {
				t.Error("begin:", err)
				return
			}
			defer i.Close()
			if _, err := commit(i, contents(k), Commit{}); err != nil {
				t.Errorf("load %s: %v", name, err)
			}
		})
	}
	wg.Wait()
	for range 2 {
		for k := range 8 {
			if diff := cmp.Diff(contents(k), export(t, s, fmt.Sprintf("list-%d", k))); diff != "" {
				t.Fatalf("list-%d (-want +got)\n%.500s", k, diff)
			}
		}
		closeStore(t, s)
		s = open(t, dir)
	}
}

// The blocks of what a list was do not fill the cache: nobody asks for them any more.
func TestSwitchForgetsTheBlocksOfBefore(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	numbers := registryNumbers(20_000)
	load(t, s, "a", Replace, numbers[:15_000], Commit{})
	for i, n := range numbers {
		if i%100 == 0 {
			verdict(s.View(), phone.Number(n), "", s.Now())
		}
	}
	load(t, s, "a", Replace, numbers[5000:], Commit{})
	now, kept := listOf(t, s, "a").ContentRevision, 0
	for key := range s.blocks.cache.All() {
		if key.contentRevision != now {
			t.Fatalf("a block as of %d, want none but as of %d", key.contentRevision, now)
		}
		kept++
	}
	if kept == 0 {
		t.Error("the blocks that did not change were not carried over")
	}
}

func update(t testing.TB, s *Store, list string, change func(*Settings)) {
	t.Helper()
	if _, _, err := s.UpdateList(context.Background(), listNamed(s, list), change, Request{Confirmed: true}); err != nil {
		t.Fatal("update list:", err)
	}
}

// A change that frees numbers, which are blocked or in doubt now, is refused until it is confirmed.
func TestWhatFreesNumbersIsConfirmed(t *testing.T) {
	t.Parallel()
	clock := clockAt(time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC))
	loaded := date(t, "2026-09-01")
	for _, c := range []struct {
		name   string
		kind   policy.ListKind
		never  bool // loaded
		change func(*Settings)
		asks   bool
	}{
		{name: "a registry", kind: policy.ListRegistry, asks: true},
		{name: "a registry never loaded", kind: policy.ListRegistry, never: true, asks: true},
		{name: "a suppression list", kind: policy.ListSuppression, asks: true},
		{name: "a suppression list never loaded", kind: policy.ListSuppression, never: true},
		{name: "a litigator list", kind: policy.ListLitigator, asks: true},
		{name: "a region less", change: func(s *Settings) { s.Jurisdiction = []string{"US"} }, asks: true},
		{name: "other regions", change: func(s *Settings) { s.Jurisdiction = []string{"FR", "US"} }, asks: true},
		{name: "a region less, never loaded", never: true, change: func(s *Settings) { s.Jurisdiction = []string{"US"} }},
		{name: "a region more", change: func(s *Settings) { s.Jurisdiction = []string{"CA", "FR", "US"} }},
		{name: "every region", kind: policy.ListSuppression, change: func(s *Settings) { s.Jurisdiction = nil }},
		{name: "a longer age", change: func(s *Settings) { s.MaxAgeDays = 31 }, asks: true},
		{name: "any age", change: func(s *Settings) { s.MaxAgeDays = 0 }, asks: true},
		{name: "a longer age that does not reach", change: func(s *Settings) { s.MaxAgeDays = 7 }},
		{name: "a shorter age", change: func(s *Settings) { s.MaxAgeDays = 1 }},
		{name: "a longer age, never loaded", never: true, change: func(s *Settings) { s.MaxAgeDays = 31 }},
		{name: "a prefix more", change: func(s *Settings) { s.Coverage = []string{"1415", "1818"} }, asks: true},
		{name: "a shorter prefix", change: func(s *Settings) { s.Coverage = []string{"1"} }, asks: true},
		{name: "nothing declared", change: func(s *Settings) { s.Coverage = nil }, asks: true},
		{name: "a longer prefix", change: func(s *Settings) { s.Coverage = []string{"14155"} }},
		{name: "a prefix in which it holds nothing", change: func(s *Settings) { s.Coverage = []string{"1415", "1212"} }},
		{name: "a prefix more, never loaded", never: true, change: func(s *Settings) { s.Coverage = []string{"1415", "1818"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, ctx := openAt(t, t.TempDir(), clock), context.Background()
			kind := max(c.kind, policy.ListRegistry)
			l := createList(t, s, "a", Settings{Kind: kind, Jurisdiction: []string{"CA", "US"}, Coverage: []string{"1415"}, MaxAgeDays: 5})
			if !c.never {
				h := header("a", Replace)
				h.Override = true
				if _, err := commit(begin(t, s, h), digits(fiction(415, 1), fiction(818, 1)), Commit{SnapshotDate: loaded}); err != nil {
					t.Fatal(err)
				}
			}
			do := func(r Request) (err error) {
				if c.change == nil {
					_, err = s.DeleteList(ctx, l.ID, r)
				} else {
					_, _, err = s.UpdateList(ctx, listNamed(s, "a"), c.change, r)
				}
				return err
			}
			revision := s.View().Revision()
			if err := do(Request{}); errors.Is(err, ErrUnconfirmed) != c.asks || err != nil && !c.asks {
				t.Errorf("unconfirmed: %v, want it refused: %v", err, c.asks)
			} else if c.asks && s.View().Revision() != revision {
				t.Error("what was refused made a revision")
			}
			if err := do(Request{Confirmed: true}); c.asks && err != nil {
				t.Error("confirmed:", err)
			}
		})
	}
}

// The content that a repair took from a list may be put back: it is not given up unasked.
func TestUnloadedListIsNotFreedUnasked(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", Settings{Kind: policy.ListLitigator})
	load(t, s, "a", Replace, areaNumbers(415, 10), Commit{})
	unload(t, s, "a")
	if _, err := s.DeleteList(context.Background(), listOf(t, s, "a").ID, Request{}); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("%v, want ErrUnconfirmed", err)
	}
}

func TestListNamesHoldNoPhoneNumber(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]error{
		"us-ftc": nil, "a": nil, "9": nil, "ftc-2026-09-09": nil, "20260909": nil, "2026.09.09-us.415": nil, "v1.2-r3": nil,
		"14155550177": ErrListName, "1-415-555-0177": ErrListName, "415.555.0177": ErrListName, "415_555_0177": ErrListName,
		"ftc-1-415-555-0177": ErrListName, "0177-1-415-555": ErrListName, "1--4--1--5--5--5--5--5--5": ErrListName,
		"": ErrListName, "-a": ErrListName, "A": ErrListName, "a b": ErrListName, "a/b": ErrListName,
	} {
		if err := CheckListName(name); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}
