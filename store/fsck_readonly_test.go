package store

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/badgerdir"
)

// wakeCompactors is how long a database must be open for its compactors to have woken: they do so a second after.
const wakeCompactors = 2500 * time.Millisecond

// storeToCompact is a store with five tables at level 0 in both databases, which Badger merges as soon as it is open. On a
// busy machine a close may last until a compaction runs: then another store is made.
func storeToCompact(t *testing.T) string {
	t.Helper()
	for range 10 {
		dir := t.TempDir()
		for i := range 5 {
			s := open(t, dir)
			recordStory(t, s, fiction(415, i))
			closeStore(t, s)
		}
		if isToCompact(t, dir, badgerDir) && isToCompact(t, dir, storiesDir) {
			return dir
		}
	}
	t.Fatal("every store was compacted before it was closed")
	return ""
}

// isToCompact reports whether a database has five tables at level 0. A compaction that ran before may have left as many
// tables at other levels.
func isToCompact(t *testing.T, dir, name string) bool {
	t.Helper()
	db := openToRead(t, dir, name)
	defer db.Close()
	return tablesAtLevel0(db) >= 5
}

func openToRead(t *testing.T, dir, name string) *badger.DB {
	t.Helper()
	opt := badgerdir.Options(filepath.Join(dir, name), slog.New(slog.DiscardHandler))
	db, err := badgerdir.OpenReadOnly(opt, filepath.Join(t.TempDir(), name), name == badgerDir)
	must(t, err)
	return db
}

func recordStory(t *testing.T, s *Store, n phone.Number) {
	t.Helper()
	_, err := s.RecordOptOut(context.Background(), OptOut{Number: n, Scope: "acme"}, Request{Story: Story{Desk: "after-sales"}})
	if err != nil {
		t.Fatal(err)
	}
}

// What fsck opens it cannot change: neither in a time in which a compaction runs, nor when one is forced.
func TestFsckCannotCompact(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	dir := storeToCompact(t)
	before := treeOf(t, dir)
	for _, name := range []string{badgerDir, storiesDir} {
		db := openToRead(t, dir, name)
		if got := tablesAtLevel0(db); got < 5 {
			t.Fatalf("%s has %d tables at level 0: no compaction is due", name, got)
		}
		time.Sleep(wakeCompactors)
		forceCompaction(db)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff(before, treeOf(t, dir)); diff != "" {
		t.Errorf("files changed:\n%s", diff)
	}
	// A server compacts the very same store in that time: else this test proves nothing.
	s := open(t, dir)
	time.Sleep(wakeCompactors)
	if got := tablesAtLevel0(s.db); got >= 5 {
		t.Errorf("a server has compacted nothing: %d tables at level 0", got)
	}
}

// forceCompaction merges all tables of a database. Badger refuses by a panic where it was opened to be read.
func forceCompaction(db *badger.DB) {
	defer func() { _ = recover() }()
	_ = db.Flatten(1)
}

func tablesAtLevel0(db *badger.DB) int { return db.Levels()[0].NumTables }

// The store of TestFsckCannotCompact, too large to be read in a second, as operations would see it: fsck, then a start.
func TestFsckOfALargeStoreChangesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	dir := t.TempDir()
	s := open(t, dir)
	importRows(t, s, RecordsHeader{}, bulkRows(0, 50_000))
	closeStore(t, s)
	for i := range 5 {
		s := open(t, dir)
		recordStory(t, s, fiction(415, i))
		closeStore(t, s)
	}
	before := treeOf(t, dir)
	start := time.Now()
	if r := mustFsck(t, dir); !r.OK() || r.Missing.Stories > 0 {
		t.Errorf("fsck: %v, %d stories missing", r.Problems, r.Missing.Stories)
	}
	t.Logf("fsck took %v", time.Since(start))
	if diff := cmp.Diff(before, treeOf(t, dir)); diff != "" {
		t.Fatalf("files changed:\n%s", diff)
	}
	s = open(t, dir)
	if cause := s.State().Cause; cause != nil {
		t.Error("after fsck:", cause)
	}
}

// A copy has no LOCK when it was made without it: fsck makes none.
func TestFsckMakesNoFile(t *testing.T) {
	t.Parallel()
	d := makeStore(t, false)
	if err := os.Remove(filepath.Join(d.dir, lockFile)); err != nil {
		t.Fatal(err)
	}
	before := treeOf(t, d.dir)
	if r := mustFsck(t, d.dir); !r.OK() {
		t.Error(r.Problems)
	}
	if diff := cmp.Diff(before, treeOf(t, d.dir)); diff != "" {
		t.Errorf("files changed:\n%s", diff)
	}
}

func TestFsckOfARunningStoreChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	recordStory(t, s, fiction(415, 1))
	before := treeOf(t, dir)
	for _, inspect := range []func() (Report, error){
		func() (Report, error) { return Fsck(context.Background(), dir, testOptions()) },
		func() (Report, error) { return Repair(context.Background(), dir, true, testOptions()) },
	} {
		if _, err := inspect(); !errors.Is(err, ErrLocked) {
			t.Errorf("beside a server: %v, want ErrLocked", err)
		}
	}
	if diff := cmp.Diff(before, treeOf(t, dir)); diff != "" {
		t.Errorf("files changed:\n%s", diff)
	}
	wantVerdict(t, s, fiction(415, 1), "acme", policy.Block, policy.CauseNone)
}

func TestFsckOfAReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	d := makeStore(t, false)
	disk := t.TempDir()
	if err := mount(t, disk, "--bind", d.dir); err != nil {
		t.Skip("needs root and bind mounts:", err)
	}
	if err := mount(t, disk, "-o", "remount,bind,ro", d.dir); err != nil {
		t.Skip("needs read-only bind mounts:", err)
	}
	if err := os.WriteFile(filepath.Join(disk, "x"), nil, 0o600); err == nil {
		t.Fatal("the directory can be written to")
	}
	if r := mustFsck(t, disk); !r.OK() || r.Revision != d.last {
		t.Errorf("fsck of a read-only directory: %+v", r)
	}
}

// A repair that was cut short while it moved directories: fsck says so and moves nothing, the next repair finishes it.
func TestFsckLeavesARepairThatWasCutShort(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	if err := os.Remove(d.file(t, "badger/MANIFEST")); err != nil {
		t.Fatal(err)
	}
	repairAndStopAfter(t, d.dir)
	before := treeOf(t, d.dir)
	if r := mustFsck(t, d.dir); r.OK() {
		t.Error("fsck finds nothing")
	}
	if diff := cmp.Diff(before, treeOf(t, d.dir)); diff != "" {
		t.Fatalf("files changed:\n%s", diff)
	}
	if _, err := Repair(context.Background(), d.dir, false, testOptions()); err != nil {
		t.Fatal(err)
	}
	if r := mustFsck(t, d.dir); !r.OK() {
		t.Error(r.Problems)
	}
	d.wantWhole(t, false)
}

// repairAndStopAfter repairs, and takes the last move back, as if the repair had been killed before it.
func repairAndStopAfter(t *testing.T, dir string) {
	t.Helper()
	r, err := Repair(context.Background(), dir, false, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(dir, scratchPrefix+"cut")
	plan, err := json.Marshal(map[string]string{"Fresh": filepath.Base(fresh), "Kept": filepath.Base(r.Kept)})
	err = errors.Join(err,
		os.Mkdir(fresh, 0o700),
		os.Rename(filepath.Join(dir, badgerDir), filepath.Join(fresh, badgerDir)),
		os.WriteFile(filepath.Join(dir, swapFile), plan, 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

// A plan that names no directories of a repair moves and deletes nothing, and what the repair built stays until its plan
// can be read.
func TestSwapThatCannotBeFinished(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	if err := os.Remove(d.file(t, "badger/MANIFEST")); err != nil {
		t.Fatal(err)
	}
	repairAndStopAfter(t, d.dir)
	plan := filepath.Join(d.dir, swapFile)
	sound, err := os.ReadFile(plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{"", "{}", `{"Fqesh":".fsck-cut"}`, `{"Fresh":".fsck-cut","Kept":""}`, `{"Fresh":".fsck-cut","Kept":"damaged-/.."}`, `{"Fresh":".fsck-/..","Kept":"damaged-1"}`} {
		if err := os.WriteFile(plan, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		before := treeOf(t, d.dir)
		if s, err := Open(d.dir, testOptions()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%q: got %v, want ErrDamaged", broken, err)
			if err == nil {
				closeStore(t, s)
			}
		}
		if diff := cmp.Diff(before, treeOf(t, d.dir)); diff != "" {
			t.Fatalf("%q: files changed:\n%s", broken, diff)
		}
	}
	if err := os.WriteFile(plan, sound, 0o600); err != nil {
		t.Fatal(err)
	}
	d.wantWhole(t, false)
}
