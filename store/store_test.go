package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/apply"
)

// testOptions are small and look at no disk: several test runs may share one that is nearly full.
func testOptions() Options { return Options{MinFree: -1} }

func open(t testing.TB, dir string) *Store {
	t.Helper()
	return openWith(t, dir, testOptions())
}

func openWith(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	awaitForks()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.isClosing() {
			closeStore(t, s)
		}
	})
	return s
}

// awaitForks waits until children that other tests start at this moment have let go of the files of this process: a lock
// of a store that was just closed is theirs too until then.
func awaitForks() {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error("close:", err)
	}
	awaitForks()
}

// fiction is the n-th number reserved for fiction in an area code of +1.
func fiction(area, n int) phone.Number {
	return phone.Number(10_000_000_000 + area*10_000_000 + 5550100 + n%100)
}

func optOut(t testing.TB, s *Store, n phone.Number, scope policy.Scope) Receipt {
	t.Helper()
	r, err := s.RecordOptOut(context.Background(), OptOut{Number: n, Scope: scope}, Request{})
	if err != nil {
		t.Fatal("record opt-out:", err)
	}
	return r
}

func verdict(v *View, n phone.Number, scope policy.Scope, now time.Time) policy.Decision {
	_, ahead := v.Clock()
	f := &policy.Facts{Scope: scope, Ahead: ahead}
	v.Lookup(n, f)
	return policy.Decide(f, nil, now)
}

func wantVerdict(t testing.TB, s *Store, n phone.Number, scope policy.Scope, want policy.Verdict, cause policy.Cause) {
	t.Helper()
	d := verdict(s.View(), n, scope, s.Now())
	if d.Verdict != want || d.Cause != cause {
		t.Errorf("number %s…%d at scope %q: verdict %d cause %d, want %d cause %d", n, uint64(n)%100, scope, d.Verdict, d.Cause, want, cause)
	}
}

// listNamed is the id of the list of that name; zero when there is none.
func listNamed(s *Store, name string) policy.EventID {
	if l, err := s.View().List(name); err == nil {
		return l.ID
	}
	return policy.EventID{}
}

func createList(t testing.TB, s *Store, name string, settings Settings) *List {
	t.Helper()
	if settings.Kind == policy.ListUnspecified {
		settings.Kind, settings.Jurisdiction = policy.ListRegistry, []string{"US"}
	}
	l, _, err := s.CreateList(context.Background(), name, settings, Request{})
	if err != nil {
		t.Fatal("create list:", err)
	}
	return l
}

// load stages numbers in chunks and commits them.
func load(t testing.TB, s *Store, list string, mode Mode, numbers []uint64, c Commit) Result {
	t.Helper()
	i, err := s.BeginImport(Header{List: list, Mode: mode, Guards: Guards{MaxShrink: -1, MaxRejects: -1}})
	if err != nil {
		t.Fatal("begin import:", err)
	}
	defer i.Close()
	r, err := commit(i, numbers, c)
	if err != nil {
		t.Fatal("commit import:", err)
	}
	return r
}

func commit(i *Import, numbers []uint64, c Commit) (Result, error) {
	const chunk = 5000
	c.Read = uint64(len(numbers)) + c.Rejected
	for len(numbers) > 0 {
		n := min(chunk, len(numbers))
		if err := i.Put(Chunk{Seq: i.LastChunk() + 1, Numbers: append([]uint64(nil), numbers[:n]...)}); err != nil {
			return Result{}, err
		}
		numbers = numbers[n:]
	}
	c.Chunks = i.LastChunk()
	return i.Commit(context.Background(), c, func(Progress) {})
}

func export(t testing.TB, s *Store, list string) []uint64 {
	t.Helper()
	v := s.View()
	l, err := v.List(list)
	if err != nil {
		t.Fatal(err)
	}
	return exportList(t, v, l)
}

func exportList(t testing.TB, v *View, l *List) []uint64 {
	t.Helper()
	numbers := []uint64{}
	for batch, err := range v.Export(context.Background(), l) {
		if err != nil {
			t.Fatal("export:", err)
		}
		for _, n := range batch {
			numbers = append(numbers, uint64(n))
		}
	}
	return numbers
}

// registryNumbers are n numbers as a registry has them: dense, in area codes from the first one on.
func registryNumbers(n int) []uint64 {
	numbers := make([]uint64, n)
	for i := range numbers {
		numbers[i] = 12_012_000_000 + uint64(i)*13
	}
	return numbers
}

func TestOptOutBlocksItsScopeAndBelow(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 7)
	if r := optOut(t, s, n, "acme"); r.ID.Revision != 1 || s.View().Revision() != 1 {
		t.Errorf("receipt %+v, view at %d, want revision 1", r, s.View().Revision())
	}
	for _, c := range []struct {
		scope policy.Scope
		want  policy.Verdict
	}{
		{"acme", policy.Block},
		{"acme/telecom", policy.Block},
		{"acmeco", policy.Allow},
		{"other", policy.Allow},
		{"", policy.Block},
	} {
		wantVerdict(t, s, n, c.scope, c.want, policy.CauseNone)
	}
	wantVerdict(t, s, fiction(415, 8), "acme", policy.Allow, policy.CauseNone)
}

func TestWithdrawEndsExactlyItsScope(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 7)
	optOut(t, s, n, "acme")
	optOut(t, s, n, "acme")
	optOut(t, s, n, "acme/telecom")
	r, err := s.WithdrawOptOut(context.Background(), n, "acme", Request{})
	if err != nil || r.Ended != 2 {
		t.Fatalf("withdraw: ended %d, %v, want 2", r.Ended, err)
	}
	wantVerdict(t, s, n, "acme", policy.Allow, policy.CauseNone)
	wantVerdict(t, s, n, "acme/telecom", policy.Block, policy.CauseNone)
	if _, err := s.WithdrawOptOut(context.Background(), n, "acme", Request{}); !errors.Is(err, ErrNothingToWithdraw) {
		t.Errorf("second withdrawal: %v, want ErrNothingToWithdraw", err)
	}
}

func TestReopenKeepsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for i := range 50 {
		optOut(t, s, fiction(415, i), "acme")
	}
	id := s.View().JournalID()
	closeStore(t, s)
	s = open(t, dir)
	if got := s.View(); got.Revision() != 50 || got.JournalID() != id || s.State().Cause != nil {
		t.Errorf("reopened at revision %d of %s, %v, want 50 of %s", got.Revision(), got.JournalID(), s.State().Cause, id)
	}
	for i := range 50 {
		wantVerdict(t, s, fiction(415, i), "acme", policy.Block, policy.CauseNone)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir, testOptions()); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v, want ErrLocked", err)
	}
}

// A process that forks at the moment of a close keeps the locks for as long as its child takes to run a program.
func TestLocksThatAreBeingGivenBackAreWaitedFor(t *testing.T) {
	t.Parallel()
	for _, name := range []string{lockFile, badgerDir, storiesDir} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			closeStore(t, open(t, dir))
			f, err := os.Open(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(50*time.Millisecond, func() { f.Close() })
			s, err := Open(dir, testOptions())
			if err != nil {
				t.Fatalf("open while a lock is given back: %v, want a store", err)
			}
			closeStore(t, s)
		})
	}
}

func TestRequestIDGivesTheFirstReceipt(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx := context.Background()
	o := OptOut{Number: fiction(415, 1), Scope: "acme"}
	req := Request{ID: "r1", Story: Story{Desk: "after-sales"}}
	first, err := s.RecordOptOut(ctx, o, req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.RecordOptOut(ctx, o, req)
	if err != nil || !again.Duplicate || again.ID != first.ID {
		t.Errorf("again: %+v, %v, want a duplicate of %+v", again, err, first)
	}
	if _, err := s.RecordOptOut(ctx, OptOut{Number: o.Number}, req); !errors.Is(err, ErrRequestReused) {
		t.Errorf("other content: %v, want ErrRequestReused", err)
	}
	if _, err := s.RecordOptOut(ctx, o, Request{ID: "r1", Story: Story{Desk: "legal"}}); !errors.Is(err, ErrRequestReused) {
		t.Errorf("other story: %v, want ErrRequestReused", err)
	}
	if s.View().Revision() != 1 {
		t.Errorf("revision %d, want 1", s.View().Revision())
	}
}

func TestRequestIDIsRememberedSevenDays(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC)
	clock := clockAt(start)
	s := openAt(t, t.TempDir(), clock)
	objection := OptOut{Number: fiction(415, 1)}
	for _, c := range []struct {
		after     time.Duration
		duplicate bool
	}{{0, false}, {apply.RequestMemory - 1, true}, {apply.RequestMemory, false}} {
		clock.set(start.Add(c.after))
		r, err := s.RecordOptOut(context.Background(), objection, Request{ID: "r1"})
		if err != nil || r.Duplicate != c.duplicate {
			t.Errorf("after %v: duplicate %v, %v, want %v", c.after, r.Duplicate, err, c.duplicate)
		}
	}
}

func TestHistoryTellsEveryEvent(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx := context.Background()
	n := fiction(415, 1)
	story := Story{Desk: "after-sales", Evidence: "ticket 17", RecordedBy: "ann"}
	if _, err := s.RecordOptOut(ctx, OptOut{Number: n, Scope: "acme", Channel: policy.ChannelEmail}, Request{Story: story}); err != nil {
		t.Fatal(err)
	}
	optOut(t, s, fiction(415, 2), "acme")
	if _, err := s.WithdrawOptOut(ctx, n, "acme", Request{Story: Story{Reason: "asked again"}}); err != nil {
		t.Fatal(err)
	}
	events, _, err := s.View().History(n, policy.EventID{}, 10)
	if err != nil || len(events) != 2 {
		t.Fatalf("history: %d events, %v, want 2", len(events), err)
	}
	first, second := events[0], events[1]
	if first.Kind != EventOptOut || first.Story != story || first.StoryState != StoryPresent || first.Channel != policy.ChannelEmail {
		t.Errorf("first event %+v", first)
	}
	if !slices.Equal(second.Ended, []policy.EventID{first.ID}) {
		t.Errorf("the withdrawal ended %v, want %v", second.Ended, first.ID)
	}
	if second.Kind != EventOptOutWithdrawn || second.ID.Revision != 3 || second.Story.Reason != "asked again" {
		t.Errorf("second event %+v", second)
	}
	page, _, err := s.View().History(n, first.ID, 10)
	if err != nil || len(page) != 1 || page[0].ID != second.ID {
		t.Errorf("history after the first: %+v, %v", page, err)
	}
}

func TestExpiryIsTheLastMoment(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n, end := fiction(415, 1), time.Now().Add(time.Hour).UTC()
	if _, err := s.RecordOptOut(context.Background(), OptOut{Number: n, ExpiresAt: end}, Request{}); err != nil {
		t.Fatal(err)
	}
	if d := verdict(s.View(), n, "", end.Add(-1)); d.Verdict != policy.Block || !d.ValidUntil.Equal(end) {
		t.Errorf("before: %+v, want BLOCK until %v", d, end)
	}
	if d := verdict(s.View(), n, "", end); d.Verdict != policy.Allow {
		t.Errorf("at its end: %+v, want ALLOW", d)
	}
}

func TestClockThatJumpsBackNeverGoesBehindTheJournal(t *testing.T) {
	t.Parallel()
	clock := clockAt(time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC))
	s := openAt(t, t.TempDir(), clock)
	optOut(t, s, fiction(415, 1), "")
	before := s.View()
	clock.advance(time.Hour)
	optOut(t, s, fiction(415, 2), "")
	clock.advance(-49 * time.Hour)
	now := clock.now()
	if got, want := before.Now(), now.Add(48*time.Hour); !got.Equal(want) {
		t.Errorf("now in the view before: %v, want %v, its own last event's time", got, want)
	}
	optOut(t, s, fiction(415, 3), "")
	if got, want := s.Now(), now.Add(49*time.Hour); !got.Equal(want) {
		t.Errorf("now %v, want %v", got, want)
	}
	if at, err := s.RevisionAt(now.Add(49 * time.Hour)); at != 3 || err != nil {
		t.Errorf("revision at the last event's time: %d, %v, want 3", at, err)
	}
}

func TestWaitersWakeAtTheirRevision(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	seen := make(chan uint64)
	go func() {
		v, err := s.Wait(ctx, 2)
		if err != nil {
			v = &View{}
		}
		seen <- v.Revision()
	}()
	optOut(t, s, fiction(415, 1), "")
	optOut(t, s, fiction(415, 2), "")
	if got := <-seen; got != 2 {
		t.Errorf("woke at revision %d, want 2", got)
	}
}

func TestTooManyRecordsIsRefused(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	var err error
	for i := range 20_000 {
		scope := policy.Scope(fmt.Sprintf("%0200d", i))
		if _, err = s.RecordOptOut(context.Background(), OptOut{Number: n, Scope: scope}, Request{}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrTooManyRecords) {
		t.Errorf("endless records: %v, want ErrTooManyRecords", err)
	}
	wantVerdict(t, s, n, "", policy.Block, policy.CauseNone)
}
