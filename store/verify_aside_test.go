package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
)

// spreadNumbers are n numbers, each in a block of its own: what a list of that many takes most room with.
func spreadNumbers(n int) []uint64 {
	numbers := make([]uint64, n)
	for i := range numbers {
		numbers[i] = 12_012_000_000 + uint64(i)*block.Size
	}
	return numbers
}

// flushedLoad is a load so large that the database puts a part of it, without a single revision, into a table of its own.
func flushedLoad() []uint64 { return spreadNumbers(20_000 * (badgerdir.MemTableBytes >> 20)) }

// manifestRecords are where the records of a MANIFEST begin: a length, a checksum, and so many bytes each. The last one is
// where it ends.
func manifestRecords(t *testing.T, content []byte) []int {
	t.Helper()
	places := []int{8}
	for at := 8; at < len(content); {
		at += 8 + int(binary.BigEndian.Uint32(content[at:]))
		places = append(places, at)
	}
	return places
}

// cutRecords drops the last records of a MANIFEST, as a power cut may.
func cutRecords(t *testing.T, path string, records int) {
	t.Helper()
	places := manifestRecords(t, readFile(t, path))
	if err := os.Truncate(path, int64(places[max(0, len(places)-1-records)])); err != nil {
		t.Fatal(err)
	}
}

// killed is a copy of what a store's process would leave if it were killed now.
func killed(t *testing.T, s *Store) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "killed")
	copyTree(t, s.dir, dir)
	return dir
}

// A MANIFEST that lost its last records makes the database set tables aside. Whatever lay in them, of whichever load: no
// number that is on the list is ALLOW, at once, after what the store does by itself, and after the next open.
func TestLostManifestRecordIsNeverAllow(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	s := open(t, t.TempDir())
	createList(t, s, "us-ftc", Settings{Kind: policy.ListSuppression})
	numbers := flushedLoad()
	prepareOnly(t, s, header("us-ftc", Replace), numbers, Commit{})
	s = open(t, killed(t, s)) // its log becomes a table, and the blocks come into the next
	settle(t, s)
	load(t, s, "us-ftc", Add, []uint64{uint64(fiction(415, 0))}, Commit{})
	left := killed(t, s)
	closeStore(t, s)
	records := len(manifestRecords(t, readFile(t, filepath.Join(left, badgerDir, "MANIFEST")))) - 1
	if records < 2 {
		t.Fatalf("the load made %d records in the MANIFEST: too few", records)
	}
	for lost := 1; lost <= records; lost++ {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "cut")
			copyTree(t, left, dir)
			cutRecords(t, filepath.Join(dir, badgerDir, "MANIFEST"), lost)
			for range 2 {
				s := open(t, dir)
				wantNoneAllowed(t, s, numbers)
				t.Log(s.State().Cause)
				settle(t, s)
				wantNoneAllowed(t, s, numbers)
				if s.State().Cause == nil {
					t.Error("the store does not tell of its damage")
				}
				closeStore(t, s)
			}
			if kept, err := filepath.Glob(filepath.Join(dir, badgerDir+badgerdir.UnlistedSuffix, "*.sst")); err != nil || len(kept) < 1 {
				t.Errorf("the tables that were set aside are gone: %v, %v", kept, err)
			}
		})
	}
}

func wantNoneAllowed(t *testing.T, s *Store, numbers []uint64) {
	t.Helper()
	allowed := 0
	for i := 0; i < len(numbers); i += 97 {
		if verdict(s.View(), phone.Number(numbers[i]), "acme", s.Now()).Verdict == policy.Allow {
			allowed++
		}
	}
	if allowed > 0 {
		t.Errorf("%d of %d listed numbers are ALLOW, state %v", allowed, len(numbers)/97+1, s.State().Cause)
	}
}

// recordStories records n opt-outs, each with a story.
func recordStories(t *testing.T, s *Store, n int) {
	t.Helper()
	rows := make([]RecordRow, n)
	for i := range rows {
		rows[i] = RecordRow{
			OptOut: OptOut{Number: phone.Number(33_199_000_000 + i), Scope: "acme"},
			Story:  Story{Desk: "after-sales", Evidence: fmt.Sprintf("call %d%s", i, strings.Repeat(" and so on", 20))},
		}
	}
	if _, err := s.RecordOptOuts(context.Background(), rows); err != nil {
		t.Fatal(err)
	}
}

// storiesThatFlush are so many that the database of stories puts them into more than one table.
const storiesThatFlush = 40_000

// Stories that the journal names and that are not there are told, whatever took them: the verdicts are whole, writes are
// refused, and nothing that was set aside is deleted.
func TestLostStoriesAreTold(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	s := open(t, t.TempDir())
	recordStories(t, s, storiesThatFlush)
	left := killed(t, s)
	closeStore(t, s)
	stories := filepath.Join(left, storiesDir)
	if records := len(manifestRecords(t, readFile(t, filepath.Join(stories, "MANIFEST")))); records < 3 {
		t.Fatalf("so many stories are held by %d records of the MANIFEST: too few", records)
	}
	log := func(dir string) string { return largest(t, filepath.Join(dir, storiesDir, "*.mem")) }
	tests := []struct {
		name  string
		harm  func(dir string)
		aside bool // what repair needs was set aside
	}{
		{"MANIFEST without its last record", func(dir string) { cutRecords(t, filepath.Join(dir, storiesDir, "MANIFEST"), 1) }, true},
		{"MANIFEST without its last two records", func(dir string) { cutRecords(t, filepath.Join(dir, storiesDir, "MANIFEST"), 2) }, true},
		{"flipped log", func(dir string) { flip(t, log(dir), 0.5) }, true},
		{"cut log", func(dir string) { must(t, os.Truncate(log(dir), 1<<16)) }, true},
		{"no log", func(dir string) { must(t, os.Remove(log(dir))) }, false},
		{"no stories", func(dir string) { must(t, os.RemoveAll(filepath.Join(dir, storiesDir))) }, false},
		{"no table", func(dir string) { must(t, os.Remove(largest(t, filepath.Join(dir, storiesDir, "*.sst")))) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "harmed")
			copyTree(t, left, dir)
			tt.harm(dir)
			for range 2 {
				s := open(t, dir)
				wantStoriesDamaged(t, s)
				closeStore(t, s)
			}
			if aside, _ := filepath.Glob(filepath.Join(dir, storiesDir+badgerdir.UnlistedSuffix, "*")); tt.aside != (len(aside) > 0) {
				t.Errorf("set aside: %v, want some: %v", aside, tt.aside)
			}
		})
	}
}

func wantStoriesDamaged(t *testing.T, s *Store) {
	t.Helper()
	wantVerdict(t, s, 33_199_000_000, "acme", policy.Block, policy.CauseNone)
	wantVerdict(t, s, fiction(415, 0), "acme", policy.Allow, policy.CauseNone)
	awaitState(t, s, func(state State) bool { return errors.Is(state.Cause, ErrStoriesDamaged) })
	if state := s.State(); !state.Ready() || state.Writable() || errors.Is(state.Cause, ErrDamaged) {
		t.Errorf("state %v: ready %v, writable %v", state.Cause, state.Ready(), state.Writable())
	}
	wantVerdict(t, s, 33_199_000_000, "acme", policy.Block, policy.CauseNone)
	wantVerdict(t, s, fiction(415, 0), "acme", policy.Allow, policy.CauseNone)
	_, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 0), Scope: "acme"}, Request{})
	if !errors.Is(err, ErrStoriesDamaged) {
		t.Errorf("a write: %v, want ErrStoriesDamaged", err)
	}
}

// awaitState waits for a state, which what looks in the background leads to.
func awaitState(t *testing.T, s *Store, want func(State) bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !want(s.State()); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the store stays in state %v", s.State().Cause)
		}
	}
}

// largest is the largest file of a pattern.
func largest(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	return slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(size(t, a), size(t, b)) })
}

// What a flush or a compaction that was cut short leaves is deleted, once all of it was found elsewhere.
func TestWhatWasSetAsideGoesOnceItWasFound(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	for _, name := range []string{badgerDir, storiesDir} {
		table := readFile(t, largest(t, filepath.Join(d.dir, name, "*.sst")))
		must(t, os.WriteFile(filepath.Join(d.dir, name, "000090.sst"), table, 0o600))
		must(t, os.WriteFile(filepath.Join(d.dir, name, "000091.sst"), table[:len(table)/2], 0o600))
	}
	s := open(t, d.dir)
	for _, name := range []string{badgerDir, storiesDir} {
		awaitGone(t, s, filepath.Join(d.dir, name+badgerdir.UnlistedSuffix))
	}
	if cause := s.State().Cause; cause != nil {
		t.Error("state:", cause)
	}
	closeStore(t, s)
	d.wantWhole(t, false)
}

func awaitGone(t *testing.T, s *Store, dir string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s stays, state %v", filepath.Base(dir), s.State().Cause)
		}
	}
}

// A block that a list shows, and that lies nowhere but in what was set aside, is damage; the table stays.
func TestBlockThatWasOnlySetAsideIsDamage(t *testing.T) {
	t.Parallel()
	d := makeStore(t, true)
	s := open(t, d.dir)
	l := listOf(t, s, "us-ftc")
	closeStore(t, s)
	key := keys.Block(l.ID, 1<<40)
	other := filepath.Join(t.TempDir(), "other")
	db, err := badgerdir.Open(badgerdir.Options(other, s.log), true)
	must(t, err)
	txn := db.NewTransactionAt(l.ContentRevision, true)
	var one block.Bitmap
	one.Set(1)
	must(t, errors.Join(txn.Set(key, seal.Value(key, one.AppendPacked(nil))), txn.CommitAt(l.ContentRevision, nil), db.Close()))
	must(t, os.Rename(largest(t, filepath.Join(other, "*.sst")), filepath.Join(d.dir, badgerDir, "000090.sst")))
	for range 2 {
		s := open(t, d.dir)
		awaitState(t, s, func(state State) bool { return errors.Is(state.Cause, ErrDamaged) })
		closeStore(t, s)
	}
	largest(t, filepath.Join(d.dir, badgerDir+badgerdir.UnlistedSuffix, "000090.sst"))
}

// Damage to the stories alone is a state of its own. A load that was prepared waits for the next start, and makes no
// verdict UNKNOWN.
func TestDamagedStoriesLeaveVerdictsWhole(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "us-ftc", Settings{})
	numbers := registryNumbers(10_000)
	load(t, s, "us-ftc", Replace, numbers, Commit{})
	recordStories(t, s, 10)
	prepareOnly(t, s, header("us-ftc", Add), []uint64{uint64(fiction(415, 1))}, Commit{})
	dir := killed(t, s)
	flip(t, filepath.Join(dir, storiesDir, "MANIFEST"), 0.5)
	tried := make(chan struct{})
	o := testOptions()
	o.Logger = slog.New(slog.NewTextHandler(lineFunc(func(line string) {
		if strings.Contains(line, "finish the load that was interrupted") {
			close(tried)
		}
	}), nil))
	s = openWith(t, dir, o)
	<-tried
	wantStoriesDamaged(t, s)
	wantVerdict(t, s, phone.Number(numbers[7]), "acme", policy.Block, policy.CauseNone)
	wantVerdict(t, s, fiction(415, 1), "acme", policy.Allow, policy.CauseNone)
	facts, err := s.View().Number(33_199_000_000, s.Now())
	if err != nil || len(facts.Records) != 1 || facts.Records[0].StoryState != StoryMissing {
		t.Errorf("the number: %+v, %v, want its record without a story", facts, err)
	}
}
