package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/filter"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/filters"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/stories"
)

// copyParts puts parts of one data directory in place of those of another.
func copyParts(t *testing.T, from, to string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		target := filepath.Join(to, part)
		if err := os.RemoveAll(target); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(from, part))
		switch {
		case err != nil:
			t.Fatal(err)
		case info.IsDir():
			copyTree(t, filepath.Join(from, part), target)
		default:
			err = disk.CopyFile(filepath.Join(from, part), target)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// twoAges is a store with opt-outs, stories and a list, and a copy of it that is older.
type twoAges struct {
	now, before string
	journal     string
	known, late uint64 // the revision of the copy, and of now
}

const lateOptOut = 7 // of 415, recorded after the copy

func makeTwoAges(t *testing.T) twoAges {
	t.Helper()
	a := twoAges{now: t.TempDir(), before: filepath.Join(t.TempDir(), "copy")}
	s := open(t, a.now)
	createList(t, s, "us-ftc", Settings{})
	load(t, s, "us-ftc", Replace, registryNumbers(5_000), Commit{})
	tellOptOut(t, s, 0)
	a.journal, a.known = s.View().JournalID(), s.View().Revision()
	closeStore(t, s)
	copyTree(t, a.now, a.before)
	s = open(t, a.now)
	for i := range lateOptOut {
		tellOptOut(t, s, i+1)
	}
	load(t, s, "us-ftc", Replace, registryNumbers(6_000), Commit{})
	a.late = s.View().Revision()
	closeStore(t, s)
	return a
}

func tellOptOut(t *testing.T, s *Store, i int) {
	t.Helper()
	r := Request{Story: Story{Desk: "after-sales"}}
	if _, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, i), Scope: "acme"}, r); err != nil {
		t.Fatal(err)
	}
}

func mustRestore(t *testing.T, dir string) Report {
	t.Helper()
	r, err := Restored(context.Background(), dir, testOptions())
	if err != nil || r.Restored == nil {
		t.Fatalf("restored: got %+v and %v", r, err)
	}
	return r
}

func TestRestoredCopyGetsItsOwnJournal(t *testing.T) {
	t.Parallel()
	a := makeTwoAges(t)
	r := mustRestore(t, a.before)
	if r.Restored.JournalID != a.journal || r.Restored.Revision != a.known || r.JournalID == a.journal {
		t.Errorf("got from %+v to journal %s, want from revision %d of %s to another", *r.Restored, r.JournalID, a.known, a.journal)
	}
	if r.Revision <= a.late {
		t.Errorf("the journal goes on at revision %d, which may have been used: it came to %d", r.Revision, a.late)
	}
	s := open(t, a.before)
	if s.State().Cause != nil || s.View().JournalID() != r.JournalID || s.View().Revision() != r.Revision {
		t.Errorf("got state %v, revision %d of journal %s, want %d of %s", s.State().Cause, s.View().Revision(), s.View().JournalID(), r.Revision, r.JournalID)
	}
	wantVerdict(t, s, fiction(415, 0), "acme", policy.Block, policy.CauseNone)
	if id := optOut(t, s, fiction(415, 50), "acme").ID; id.Revision != r.Revision+1 {
		t.Errorf("the next revision is %d, want %d", id.Revision, r.Revision+1)
	}
	closeStore(t, s)
	if again := mustFsck(t, a.before); !again.OK() || again.Restored != nil {
		t.Errorf("fsck after it: got %+v", again)
	}
	if second := mustRestore(t, a.before); second.Revision <= r.Revision+1 || second.JournalID == r.JournalID {
		t.Errorf("restored again: got revision %d of the same journal: %v", second.Revision, second.JournalID == r.JournalID)
	}
	if again := mustFsck(t, a.before); !again.OK() {
		t.Errorf("fsck after the second: got %+v", again)
	}
}

// The revisions that a store can have used grow with the time that passed since its copy was made.
func TestRestoredPassesWhatMayHaveBeenUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := testOptions()
	s := openWith(t, dir, o)
	last := optOut(t, s, fiction(415, 0), "acme")
	closeStore(t, s)
	o.Clock = func() time.Time { return last.Time.Add(30 * 24 * time.Hour) }
	r, err := Restored(context.Background(), dir, o)
	if want := last.ID.Revision + 30*24*3600*revisionsPerSecond; err != nil || r.Revision <= want {
		t.Errorf("got revision %d and %v, want one after %d", r.Revision, err, want)
	}
	o.Clock = func() time.Time { return last.Time.Add(-time.Hour) } // how long ago the copy was made is not known
	if again, err := Restored(context.Background(), dir, o); err != nil || again.Revision <= r.Revision+30*24*3600*revisionsPerSecond {
		t.Errorf("with a clock that is behind: got revision %d and %v, want one long after %d", again.Revision, err, r.Revision)
	}
	s = open(t, dir)
	wantVerdict(t, s, fiction(415, 0), "acme", policy.Block, policy.CauseNone)
	if at, err := s.RevisionAt(last.Time); err != nil || at != last.ID.Revision {
		t.Errorf("the revision at the time before: got %d and %v, want %d", at, err, last.ID.Revision)
	}
}

// Where nothing tells when the copy was made, the store may have used any revision: that of a copy without an event, and that
// of one whose last event is ahead of the clock.
func TestRestoredPassesWhatMayHaveBeenUsedAtAnyTime(t *testing.T) {
	t.Parallel()
	t.Run("without an event", func(t *testing.T) {
		t.Parallel()
		now, before := t.TempDir(), filepath.Join(t.TempDir(), "copy")
		closeStore(t, open(t, now))
		copyTree(t, now, before)
		s := open(t, now)
		late := optOut(t, s, fiction(415, 0), "acme").ID.Revision
		closeStore(t, s)
		if r := mustRestore(t, before); r.Revision <= late {
			t.Errorf("the journal goes on at revision %d, which may have been used: it came to %d", r.Revision, late)
		}
		s = open(t, before)
		if s.State().Cause != nil {
			t.Error("state:", s.State().Cause)
		}
		optOut(t, s, fiction(415, 1), "acme")
		closeStore(t, s)
		if r := mustFsck(t, before); !r.OK() {
			t.Errorf("fsck after it: %+v", r)
		}
	})
	t.Run("ahead of the clock", func(t *testing.T) {
		t.Parallel()
		s, dir, c := boundStore(t)
		known := s.View().Revision()
		closeStore(t, s)
		c.pass(time.Hour)
		r, err := Restored(t.Context(), dir, c.options())
		if err != nil || r.Revision < known+3600*revisionsPerSecond {
			t.Errorf("the journal goes on at revision %d after %d, %v", r.Revision, known, err)
		}
	})
}

// A kill between the commit and the mark leaves a journal that its mark does not know: saying so again mends it.
func TestRestoredMayBeSaidAgain(t *testing.T) {
	t.Parallel()
	a := makeTwoAges(t)
	mark, err := os.ReadFile(filepath.Join(a.before, journal.MarkName))
	if err != nil {
		t.Fatal(err)
	}
	first := mustRestore(t, a.before)
	if err := os.WriteFile(filepath.Join(a.before, journal.MarkName), mark, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, a.before)
	if s.State().Ready() {
		t.Error("a restore that was killed is ready")
	}
	closeStore(t, s)
	if r := mustFsck(t, a.before); len(r.Problems) > 0 || len(r.Newer) == 0 {
		t.Errorf("fsck: got problems %q, newer %q", r.Problems, r.Newer)
	}
	if again := mustRestore(t, a.before); again.Revision <= first.Revision {
		t.Errorf("got revision %d again, the first time %d", again.Revision, first.Revision)
	}
	s = open(t, a.before)
	if s.State().Cause != nil {
		t.Error(s.State().Cause)
	}
	wantVerdict(t, s, fiction(415, 0), "acme", policy.Block, policy.CauseNone)
}

// TestHalfRestoredCopyIsNotServed puts an older journal under parts of a newer store, in turn.
func TestHalfRestoredCopyIsNotServed(t *testing.T) {
	t.Parallel()
	a := makeTwoAges(t)
	for _, newer := range []string{filtersDir, storiesDir, blocksDir} {
		t.Run(newer, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "half")
			copyTree(t, a.before, dir)
			copyParts(t, a.now, dir, newer)
			wantOlderJournal(t, dir)
			wantRestoredWhole(t, a, dir)
		})
	}
}

func wantOlderJournal(t *testing.T, dir string) {
	t.Helper()
	before := treeOf(t, dir)
	s := open(t, dir)
	if c := s.State().Cause; !errors.Is(c, ErrOlderJournal) || !errors.Is(c, ErrDamaged) {
		t.Errorf("got state %v, want ErrOlderJournal", c)
	}
	wantVerdict(t, s, fiction(415, 90), "acme", policy.Unknown, policy.DataDamaged)
	if d := verdict(s.View(), fiction(415, lateOptOut), "acme", s.Now()); d.Verdict == policy.Allow {
		t.Error("a number that was opted out after the copy is ALLOW")
	}
	if _, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 60)}, Request{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a write: got %v, want ErrDamaged", err)
	}
	closeStore(t, s)
	for _, part := range []string{filtersDir, blocksDir} {
		for path, sum := range before {
			if strings.Contains(path, string(filepath.Separator)+part+string(filepath.Separator)) && treeOf(t, dir)[path] != sum {
				t.Errorf("%s was changed or is gone", path)
			}
		}
	}
	r := mustFsck(t, dir)
	if r.OK() || len(r.Problems) > 0 || len(r.Newer) == 0 {
		t.Errorf("fsck: got problems %q, newer %q", r.Problems, r.Newer)
	}
	if _, err := Repair(context.Background(), dir, true, testOptions()); !errors.Is(err, ErrOlderJournal) {
		t.Errorf("repair: got %v, want ErrOlderJournal", err)
	}
}

func wantRestoredWhole(t *testing.T, a twoAges, dir string) {
	t.Helper()
	r := mustRestore(t, dir)
	if r.Revision <= a.late {
		t.Errorf("the journal goes on at revision %d, of which it came to %d", r.Revision, a.late)
	}
	s := open(t, dir)
	if s.State().Cause != nil {
		t.Error("after it:", s.State().Cause)
	}
	wantVerdict(t, s, fiction(415, 0), "acme", policy.Block, policy.CauseNone)
	wantVerdict(t, s, fiction(415, lateOptOut), "acme", policy.Allow, policy.CauseNone)
	load(t, s, "us-ftc", Replace, registryNumbers(7_000), Commit{})
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: got problems %q, newer %q", r.Problems, r.Newer)
	}
}

// A store that went on from an older copy, beside files of what it had been: revisions of the same numbers, and others.
func TestOtherCourseOfTheJournalIsSeen(t *testing.T) {
	t.Parallel()
	a := makeTwoAges(t)
	s := open(t, a.before) // nobody says that it was restored
	createList(t, s, "other", Settings{Kind: policy.ListSuppression})
	for i := range lateOptOut + 2 {
		tellOptOut(t, s, 70+i)
	}
	closeStore(t, s)
	for _, other := range []string{filtersDir, blocksDir, storiesDir} {
		t.Run(other, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "half")
			copyTree(t, a.before, dir)
			copyParts(t, a.now, dir, other)
			if r := mustFsck(t, dir); len(r.Newer) == 0 {
				t.Errorf("got problems %q, newer %q", r.Problems, r.Newer)
			}
		})
	}
}

// What a crash leaves, and damage to what is built again, is not taken for a copy that was put back.
func TestNotTakenForACopy(t *testing.T) {
	t.Parallel()
	a := makeTwoAges(t)
	tests := map[string]func(t *testing.T, dir string){
		"a story whose commit never came": func(t *testing.T, dir string) { putStory(t, dir, a.late+1) },
		"an older filter":                 func(t *testing.T, dir string) { copyParts(t, a.before, dir, filtersDir) },
		"a filter of another journal": func(t *testing.T, dir string) {
			writeRecordsFilter(t, dir, filter.Header{Set: filters.Records, Revision: 2})
		},
		"a flipped header of a filter": func(t *testing.T, dir string) {
			path := filepath.Join(dir, filtersDir, filters.Records)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[79] ^= 1 // of its revision
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"half a filter": func(t *testing.T, dir string) {
			if err := os.Truncate(filepath.Join(dir, filtersDir, filters.Records), 600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			copyTree(t, a.now, dir)
			change(t, dir)
			if r := mustFsck(t, dir); len(r.Newer) > 0 {
				t.Errorf("fsck: got %q", r.Newer)
			}
			s := open(t, dir)
			if s.State().Cause != nil {
				t.Errorf("got state %v", s.State().Cause)
			}
			wantVerdict(t, s, fiction(415, lateOptOut), "acme", policy.Block, policy.CauseNone)
		})
	}
}

// One story more than a crash can leave is too many.
func TestStoryOfALaterRevisionIsSeen(t *testing.T) {
	t.Parallel()
	a := makeTwoAges(t)
	putStory(t, a.now, a.late+2)
	wantOlderJournal(t, a.now)
	r := mustRestore(t, a.now)
	if r.Revision <= a.late+2 {
		t.Errorf("got revision %d, a story is of %d", r.Revision, a.late+2)
	}
	kept, err := stories.Open(filepath.Join(r.Kept, storiesDir), testOptions().withDefaults().Logger)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	if kept.IsEmpty() {
		t.Error("the story was not kept")
	}
	if r := mustFsck(t, a.now); !r.OK() {
		t.Errorf("fsck: got %+v", r)
	}
}

func putStory(t *testing.T, dir string, revision uint64) {
	t.Helper()
	st, err := stories.Open(filepath.Join(dir, storiesDir), testOptions().withDefaults().Logger)
	if err != nil {
		t.Fatal(err)
	}
	sealed := stories.Seal(Story{Desk: "after-sales"})
	if err := errors.Join(err, st.Put(revision, []*stories.Sealed{sealed}), st.Close()); err != nil {
		t.Fatal(err)
	}
}

func writeRecordsFilter(t *testing.T, dir string, h filter.Header) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, filtersDir, filters.Records))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(filter.New(100, 0.001).Encode(f, h), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// Restored changes nothing in a store that is damaged.
func TestRestoredRefusesDamage(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	if err := os.Remove(filepath.Join(d.dir, journal.MarkName)); err != nil {
		t.Fatal(err)
	}
	before := treeOf(t, d.dir)
	r, err := Restored(context.Background(), d.dir, testOptions())
	if err != nil || r.Restored != nil || len(r.Problems) == 0 {
		t.Errorf("got %+v and %v", r, err)
	}
	after := treeOf(t, d.dir)
	for path := range before {
		if after[path] != before[path] {
			t.Errorf("%s was changed", path)
		}
	}
}
