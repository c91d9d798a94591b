package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/journal"
)

// setClock is a wall clock that somebody sets, and the time that passes meanwhile.
type setClock struct{ wall, boot atomic.Int64 }

func newSetClock() *setClock {
	c := new(setClock)
	c.wall.Store(time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	c.boot.Store(int64(time.Hour))
	return c
}

func (c *setClock) options() Options {
	o := testOptions()
	o.Clock = func() time.Time { return time.Unix(0, c.wall.Load()).UTC() }
	o.Boottime = func() time.Duration { return time.Duration(c.boot.Load()) }
	return o
}

func (c *setClock) pass(d time.Duration) { c.wall.Add(int64(d)); c.boot.Add(int64(d)) }

func (c *setClock) set(by time.Duration) { c.wall.Add(int64(by)) }

const (
	tenYears = 3652 * 24 * time.Hour
	oneYear  = 365 * 24 * time.Hour
)

// makeClockStore is a store with an opt-out for a year, a suppression list and a registry of 31 days.
func makeClockStore(t *testing.T, c *setClock) (s *Store, dir string) {
	t.Helper()
	dir = t.TempDir()
	s = openWith(t, dir, c.options())
	o := OptOut{Number: fiction(415, 1), Scope: "acme", ExpiresAt: s.Now().Add(oneYear)}
	if _, err := s.RecordOptOut(context.Background(), o, Request{}); err != nil {
		t.Fatal(err)
	}
	createList(t, s, "us-ftc", Settings{Kind: policy.ListRegistry, Jurisdiction: []string{"US"}, MaxAgeDays: 31})
	load(t, s, "us-ftc", Replace, registryNumbers(500), Commit{SnapshotDate: policy.DateOf(s.Now())})
	return s, dir
}

func record(s *Store, n int) error {
	_, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, n), Scope: "acme"}, Request{})
	return err
}

// TestClockJumpStopsWrites: ten years ahead nothing is written, an opt-out that has not expired by the time that passed
// blocks, and a list is as old as the clock says.
func TestClockJumpStopsWrites(t *testing.T) {
	t.Parallel()
	c := newSetClock()
	s, _ := makeClockStore(t, c)
	wantVerdict(t, s, fiction(415, 2), "acme", policy.Allow, policy.CauseNone)
	last := s.View().Time()
	c.set(tenYears)
	if err := record(s, 3); !errors.Is(err, ErrClockJumped) {
		t.Errorf("a write: got %v, want ErrClockJumped", err)
	}
	if st := s.State(); !errors.Is(st.Cause, ErrClockJumped) || !st.Ready() || st.Writable() {
		t.Errorf("got state %v, ready %v", st.Cause, st.Ready())
	}
	if st := s.Stats(); !st.ClockJumped() || st.Ahead != tenYears {
		t.Errorf("stats: ahead by %v, want %v", st.Ahead, tenYears)
	}
	wantVerdict(t, s, fiction(415, 1), "acme", policy.Block, policy.CauseNone)
	wantVerdict(t, s, fiction(415, 2), "acme", policy.Unknown, policy.StaleList)
	if got := s.View().Time(); got != last {
		t.Errorf("the last event is of %v, before %v", got, last)
	}
	c.set(-tenYears)
	if err := record(s, 3); err != nil {
		t.Errorf("a write once the clock is back: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); s.State().Cause != nil || s.Stats().ClockJumped(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got state %v and %v ahead once the clock is back", s.State().Cause, s.Stats().Ahead)
		}
	}
	wantVerdict(t, s, fiction(415, 2), "acme", policy.Allow, policy.CauseNone)
}

// TestManyAgreeOnAJumpedClock: batches decide as single checks do.
func TestManyAgreeOnAJumpedClock(t *testing.T) {
	t.Parallel()
	c := newSetClock()
	s, _ := makeClockStore(t, c)
	c.set(tenYears)
	now, ahead := s.View().Clock()
	var f Findings
	s.View().LookupMany([]phone.Number{fiction(415, 1), fiction(415, 2)}, Call{Scope: "acme", Ahead: ahead}, &f)
	for i, want := range []policy.Verdict{policy.Block, policy.Unknown} {
		if d := policy.Decide(&f.Facts[f.At[i]], nil, now); d.Verdict != want {
			t.Errorf("number %d: got verdict %d, want %d", i, d.Verdict, want)
		}
	}
}

// A time keeps how far it is ahead: once the clock is set back, and others ask for the time, what is still being answered
// at the time before does not take an opt-out for expired.
func TestTimeKeepsHowFarItIsAhead(t *testing.T) {
	t.Parallel()
	c := newSetClock()
	s, _ := makeClockStore(t, c)
	c.set(tenYears)
	now, ahead := s.View().Clock()
	c.set(-tenYears)
	s.Now()
	one := policy.Facts{Scope: "acme", Ahead: ahead}
	s.View().Lookup(fiction(415, 1), &one)
	var many Findings
	s.View().LookupMany([]phone.Number{fiction(415, 1)}, Call{Scope: "acme", Ahead: ahead}, &many)
	for _, f := range []*policy.Facts{&one, &many.Facts[many.At[0]]} {
		if d := policy.Decide(f, nil, now); d.Verdict != policy.Block {
			t.Errorf("an opt-out in force: got verdict %d, want BLOCK", d.Verdict)
		}
	}
}

// What passes is no jump: weeks, an hour that the clock is set by, and days after the machine slept.
func TestNoClockJump(t *testing.T) {
	t.Parallel()
	c := newSetClock()
	s, _ := makeClockStore(t, c)
	c.pass(20 * 24 * time.Hour)
	c.set(23 * time.Hour)
	if err := record(s, 3); err != nil {
		t.Error(err)
	}
	if s.State().Cause != nil || s.Stats().ClockJumped() {
		t.Errorf("got state %v, ahead %v", s.State().Cause, s.Stats().Ahead)
	}
	c.set(2 * time.Hour)
	if err := record(s, 4); !errors.Is(err, ErrClockJumped) {
		t.Errorf("25 hours ahead: got %v, want ErrClockJumped", err)
	}
}

// TestBoundStoreTellsAndBlocks: whoever opens the store again believes the clock. When it was wrong all the same, the store
// says so, and an opt-out counts for as long as the clock says.
func TestBoundStoreTellsAndBlocks(t *testing.T) {
	t.Parallel()
	c := newSetClock()
	s, dir := makeClockStore(t, c)
	closeStore(t, s)
	c.set(tenYears)
	s = openWith(t, dir, c.options())
	if err := record(s, 3); err != nil {
		t.Fatal("a write after the store was opened again:", err)
	}
	c.set(-tenYears)
	if st := s.Stats(); !st.ClockJumped() || st.State.Cause != nil {
		t.Errorf("got ahead %v, state %v", st.Ahead, st.State.Cause)
	}
	wantVerdict(t, s, fiction(415, 1), "acme", policy.Block, policy.CauseNone)
	if err := record(s, 4); err != nil {
		t.Error("a write to a store that is bound:", err)
	}
	c.pass(oneYear + time.Hour)
	if d := verdict(s.View(), fiction(415, 1), "acme", s.Now()); d.Verdict == policy.Block {
		t.Error("the opt-out counts after its end")
	}
}

// boundStore is a store whose last event is ten years ahead of the clock, with an opt-out at "acme" that ends within them.
func boundStore(t *testing.T) (s *Store, dir string, c *setClock) {
	t.Helper()
	c = newSetClock()
	s, dir = makeClockStore(t, c)
	closeStore(t, s)
	c.set(tenYears)
	s = openWith(t, dir, c.options())
	if err := record(s, 3); err != nil {
		t.Fatal(err)
	}
	c.set(-tenYears)
	return s, dir, c
}

// A dry run of rows knows an opt-out that is in force by the clock, as the import does.
func TestRehearsalOnABoundStore(t *testing.T) {
	t.Parallel()
	s, _, c := boundStore(t)
	row := RecordRow{OptOut: OptOut{Number: fiction(415, 1), Scope: "acme", ExpiresAt: c.options().Clock().Add(time.Hour)}}
	for _, dry := range []bool{true, false} {
		if r := importRows(t, s, RecordsHeader{DryRun: dry}, []RecordRow{row}); r.Duplicates != 1 {
			t.Errorf("dry run %v: %+v, want a duplicate", dry, r)
		}
	}
}

// A request id is remembered for seven days of the clock: a withdrawal that is sent again ends nothing that was recorded
// after it, although the journal went ahead meanwhile.
func TestRequestIsRememberedByTheClock(t *testing.T) {
	t.Parallel()
	c := newSetClock()
	s, dir := makeClockStore(t, c)
	n := fiction(415, 1)
	withdraw := func(s *Store) {
		t.Helper()
		if _, err := s.WithdrawOptOut(t.Context(), n, "acme", Request{ID: "asked by phone"}); err != nil {
			t.Fatal(err)
		}
	}
	withdraw(s)
	closeStore(t, s)
	c.set(tenYears)
	s = openWith(t, dir, c.options())
	optOut(t, s, n, "acme")
	c.set(-tenYears)
	withdraw(s)
	wantVerdict(t, s, n, "acme", policy.Block, policy.CauseNone)
	c.pass(apply.RequestMemory)
	withdraw(s)
	if d := verdict(s.View(), n, "acme", s.Now()); d.Verdict == policy.Block {
		t.Error("the id is remembered for more than seven days")
	}
}

// A write to a number drops the records of it that have expired. While the store is bound to a time that has not come, one
// that checks count is not among them.
func TestBoundStoreDropsNoRecordInForce(t *testing.T) {
	t.Parallel()
	s, dir, c := boundStore(t)
	other := OptOut{Number: fiction(415, 1), Scope: "other"}
	if _, err := s.RecordOptOut(context.Background(), other, Request{}); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, s, fiction(415, 1), "acme", policy.Block, policy.CauseNone)
	ended, err := s.WithdrawOptOut(context.Background(), fiction(415, 1), "acme", Request{})
	if err != nil || ended.Ended != 1 {
		t.Fatalf("withdrawn: got %d and %v, want 1", ended.Ended, err)
	}
	events, _, err := s.View().History(fiction(415, 1), policy.EventID{}, 10)
	if last := len(events) - 1; err != nil || len(events[last].Ended) != 1 {
		t.Errorf("history: got %+v and %v, want an event that ended one", events, err)
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Error(r.Problems)
	}
	if err := os.Remove(filepath.Join(dir, journal.MarkName)); err != nil {
		t.Fatal(err)
	}
	repaired, err := Repair(context.Background(), dir, true, c.options())
	if err != nil || len(repaired.Missed) > 0 {
		t.Fatalf("repair: got %v, and could not apply %q", err, repaired.Missed)
	}
	if r := mustFsck(t, dir); !r.OK() {
		t.Error("after a repair:", r.Problems)
	}
}
