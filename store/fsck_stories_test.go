package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/disk"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/stories"
)

// storiesTest is a store of which stories are harmed: each opt-out has one, at the revision that follows the list's.
func (d *damagedStore) firstStory() uint64 { return d.last - damagedOptOuts + 1 }

// missingStories counts the stories that a store that is open does not tell.
func (d *damagedStore) missingStories(t *testing.T, s *Store) (n uint64) {
	t.Helper()
	for i := range damagedOptOuts {
		facts, err := s.View().Number(fiction(415, i), s.Now())
		if err != nil || len(facts.Records) == 0 {
			t.Fatalf("%+v, %v", facts, err)
		}
		for _, e := range facts.Records {
			if e.StoryState == StoryMissing {
				n++
			}
		}
	}
	return n
}

// Stories that are lost are counted and named by fsck, had again by repair where that can be, told when they cannot, and
// told once.
func TestRepairSalvagesStories(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	all := func(d *damagedStore) []Gap { return []Gap{{From: d.firstStory(), To: d.last}} }
	for _, c := range []struct {
		name    string
		clean   bool
		damage  func(t *testing.T, d *damagedStore)
		missing func(d *damagedStore) []Gap // told by fsck; nil: how many is not known
		lost    func(d *damagedStore) []Gap // after the repair; nil: none
	}{
		{"no database", true, func(t *testing.T, d *damagedStore) {
			if err := os.RemoveAll(filepath.Join(d.dir, storiesDir)); err != nil {
				t.Fatal(err)
			}
		}, all, all},
		{"a MANIFEST without its end", true, func(t *testing.T, d *damagedStore) {
			if err := os.Truncate(d.file(t, "stories/MANIFEST"), 16); err != nil {
				t.Fatal(err)
			}
		}, all, nil},
		{"no MANIFEST", true, func(t *testing.T, d *damagedStore) {
			if err := os.Remove(d.file(t, "stories/MANIFEST")); err != nil {
				t.Fatal(err)
			}
		}, nil, nil},
		{"one story flipped in the log", false, func(t *testing.T, d *damagedStore) { flipStory(t, d, 10) },
			func(d *damagedStore) []Gap { return []Gap{{From: d.firstStory() + 10, To: d.last}} },
			func(d *damagedStore) []Gap { return []Gap{{From: d.firstStory() + 10, To: d.firstStory() + 10}} }},
		{"the log zeroed", false, func(t *testing.T, d *damagedStore) {
			path := d.file(t, "stories/*.mem")
			full := size(t, path)
			must(t, errors.Join(os.Truncate(path, 0), os.Truncate(path, full)))
		}, all, all},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := makeStore(t, c.clean)
			c.damage(t, &d)
			before := treeOf(t, d.dir)
			r := mustFsck(t, d.dir)
			if r.OK() || r.Stories != damagedOptOuts {
				t.Errorf("fsck: %+v", r)
			}
			if c.missing != nil {
				wantRuns(t, "fsck", r.Missing, c.missing(&d))
				if !strings.Contains(strings.Join(r.Problems, "\n"), fmt.Sprintf("%d, of revisions %d to %d", r.Missing.Stories, r.Missing.At[0].From, d.last)) {
					t.Errorf("fsck does not name what is missing: %q", r.Problems)
				}
			}
			if diff := cmp.Diff(before, treeOf(t, d.dir)); diff != "" {
				t.Errorf("fsck changed files:\n%s", diff)
			}
			r, err := Repair(context.Background(), d.dir, false, testOptions())
			if err != nil || !r.Repaired || r.JournalID != d.journal {
				t.Fatalf("repair: %+v, %v", r, err)
			}
			var lost []Gap
			if c.lost != nil {
				lost = c.lost(&d)
			}
			wantRuns(t, "repair", r.Missing, lost)
			again := mustFsck(t, d.dir)
			if !again.OK() || again.Missing.Stories > 0 {
				t.Errorf("fsck after the repair: %v", again.Problems)
			}
			wantRuns(t, "fsck after the repair", again.Gone, lost)
			s := open(t, d.dir)
			if got := d.missingStories(t, s); got != r.Missing.Stories {
				t.Errorf("%d stories are missing, and repair told of %d", got, r.Missing.Stories)
			}
			closeStore(t, s)
			d.wantWhole(t, false)
		})
	}
}

func wantRuns(t *testing.T, who string, got StoryLoss, want []Gap) {
	t.Helper()
	if diff := cmp.Diff(want, got.At, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s: runs of missing stories, want(-) got(+):\n%s", who, diff)
	}
	n := uint64(0)
	for _, g := range want {
		n += g.To - g.From + 1
	}
	if got.Stories != n {
		t.Errorf("%s: %d stories missing, want %d", who, got.Stories, n)
	}
}

// flipStory flips a bit in the i-th story of the log.
func flipStory(t *testing.T, d *damagedStore, i int) {
	t.Helper()
	path := d.file(t, "stories/*.mem")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at, seen := 0, 0
	for seen <= i {
		next := bytes.Index(b[at:], []byte("after-sales"))
		if next < 0 {
			t.Fatalf("%d stories in the log", seen)
		}
		at += next + 1
		seen++
	}
	writeAt(t, path, int64(at), []byte{b[at] ^ 1})
}

// A bit that flips in the memory of a running server gets into the tables that it writes then, with checksums that hold. The
// revision in a story's key is all of it that no hash covers. The story is no sign of a newer journal, and is not lost.
func TestStoryUnderAnotherRevisionIsPutInItsPlace(t *testing.T) {
	t.Parallel()
	for _, bit := range []int{62, 1} {
		t.Run(fmt.Sprint("bit ", bit), func(t *testing.T) {
			t.Parallel()
			d := makeStore(t, true)
			misplaceStory(t, &d, bit)
			r := mustFsck(t, d.dir)
			problems := strings.Join(r.Problems, "\n")
			if r.Missing.Stories != 1 || strings.Contains(problems, ErrOlderJournal.Error()) || !strings.Contains(problems, "under another revision") {
				t.Errorf("fsck: %d stories missing, want 1 that is under another revision and no newer journal: %s", r.Missing.Stories, problems)
			}
			r, err := Repair(context.Background(), d.dir, false, testOptions())
			if err != nil || r.Missing.Stories != 0 {
				t.Fatalf("repair: %+v, %v, want no story missing", r, err)
			}
			if again := mustFsck(t, d.dir); !again.OK() || again.Gone.Stories > 0 {
				t.Errorf("fsck after the repair: %q, %d gone, want all well", again.Problems, again.Gone.Stories)
			}
			d.wantWhole(t, false)
		})
	}
}

// misplaceStory flips a bit of the revision in the key of a story.
func misplaceStory(t *testing.T, d *damagedStore, bit int) {
	t.Helper()
	s, err := stories.Open(filepath.Join(d.dir, storiesDir), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var key []byte
	err = s.Badger.View(func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{})
		defer it.Close()
		it.Rewind()
		key = it.Item().KeyCopy(nil)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	batch := s.Badger.NewWriteBatch()
	err = s.Rename(key, stories.Key(stories.Revision(key)^1<<bit, key[8:]), batch)
	if err := errors.Join(err, batch.Flush(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// What one repair gave up the next one knows of.
func TestStoriesThatAreGoneStayKnown(t *testing.T) {
	t.Parallel()
	d := makeStore(t, false)
	flipStory(t, &d, 3)
	gone := []Gap{{From: d.firstStory() + 3, To: d.firstStory() + 3}}
	r, err := Repair(context.Background(), d.dir, false, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	wantRuns(t, "first repair", r.Missing, gone)
	if err := os.Remove(d.file(t, "badger/MANIFEST")); err != nil {
		t.Fatal(err)
	}
	if r, err = Repair(context.Background(), d.dir, false, testOptions()); err != nil {
		t.Fatal(err)
	}
	wantRuns(t, "second repair", r.Missing, nil)
	wantRuns(t, "second repair", r.Gone, gone)
	s := open(t, d.dir)
	wantVerdict(t, s, fiction(415, 3), "acme", policy.Block, policy.CauseNone)
}

// TestStoryLossNamesEachRevisionOnce: a bulk import puts thousands of stories into one revision, of which some may be there.
func TestStoryLossNamesEachRevisionOnce(t *testing.T) {
	t.Parallel()
	var l StoryLoss
	for _, at := range []struct {
		revision uint64
		missing  bool
	}{{4, true}, {4, false}, {4, true}, {4, false}, {5, true}, {6, true}, {7, false}, {7, true}, {9, true}} {
		l.note(at.revision, at.missing)
	}
	if got, want := l.String(), "6, of revisions 4, 5 to 6, 7 to 9"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A story in a damaged block whose key names another revision is not taken over: a revision that nobody made would show
// the journal as older than its stories for good.
func TestRepairTakesNoStoryOfARevisionThatNobodyMade(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	path := d.file(t, "stories/*.sst")
	b := readFile(t, path)
	b[4] ^= 1 // the first byte of the first story's revision, which others of its block share
	must(t, os.WriteFile(path, b, 0o600))
	r, err := Repair(context.Background(), d.dir, false, testOptions())
	if err != nil || r.Missing.Stories == 0 {
		t.Fatalf("repair: %+v, %v", r, err)
	}
	if again := mustFsck(t, d.dir); !again.OK() {
		t.Errorf("fsck after the repair: %q, %q", again.Problems, again.Newer)
	}
	if s := open(t, d.dir); s.State().Cause != nil {
		t.Errorf("state after the repair: %v", s.State().Cause)
	}
}

// What was set aside from stories stays while their database cannot be opened: nothing in it was found elsewhere.
func TestStoriesSetAsideStayWhileTheDatabaseIsDamaged(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	aside := filepath.Join(d.dir, storiesDir+badgerdir.UnlistedSuffix)
	must(t, os.Mkdir(aside, 0o700))
	must(t, disk.CopyFile(d.file(t, "stories/*.sst"), filepath.Join(aside, "000009.sst")))
	must(t, os.Remove(d.file(t, "stories/MANIFEST")))
	s := open(t, d.dir)
	s.searchSetAside(s.View())
	if s.aside(storiesDir) == "" {
		t.Error("the table that was set aside is deleted")
	}
	if !s.State().Ready() {
		t.Errorf("not ready: %v", s.State().Cause)
	}
}

// When a journal is lost with its mark, the one that goes on after an accepted loss begins behind every story that is
// left: else they would show it as an older copy.
func TestAcceptedLossBeginsBehindTheStories(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	must(t, os.Remove(filepath.Join(d.dir, journal.MarkName)))
	must(t, os.Remove(d.file(t, "badger/*.sst")))
	if _, err := Repair(context.Background(), d.dir, false, testOptions()); !errors.Is(err, ErrLoss) {
		t.Errorf("repair: got %v, want ErrLoss: stories tell of revisions that are gone", err)
	}
	r, err := Repair(context.Background(), d.dir, true, testOptions())
	if err != nil || r.Revision <= d.last {
		t.Fatalf("repair: revision %d of %d, %v", r.Revision, d.last, err)
	}
	if again := mustFsck(t, d.dir); !again.OK() {
		t.Errorf("fsck after the repair: %q, %q", again.Problems, again.Newer)
	}
	if s := open(t, d.dir); s.State().Cause != nil {
		t.Errorf("state after the repair: %v", s.State().Cause)
	}
}
