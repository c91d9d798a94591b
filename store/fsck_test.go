package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/journal"
)

// The form of the mark's file: see journal/mark.go.
const (
	markBytes     = 116
	markSlotBytes = 4096
)

// damagedStore is a directory with opt-outs of acme and a list, as a crash leaves it, or as a clean stop does.
type damagedStore struct {
	dir     string
	numbers []uint64
	journal string
	last    uint64
}

const damagedOptOuts = 60

func makeStore(t *testing.T, clean bool) damagedStore {
	t.Helper()
	d := prototype(t, clean)
	dir := filepath.Join(t.TempDir(), "d")
	copyTree(t, d.dir, dir)
	d.dir, d.numbers = dir, slices.Clone(d.numbers)
	return d
}

// prototypes are the stores that makeStore copies, by whether they were closed. The first test that needs one makes it.
var prototypes = struct {
	sync.Mutex
	root string // removed by TestMain
	made map[bool]damagedStore
}{made: map[bool]damagedStore{}}

func prototype(t *testing.T, clean bool) damagedStore {
	t.Helper()
	prototypes.Lock()
	defer prototypes.Unlock()
	if d, ok := prototypes.made[clean]; ok {
		return d
	}
	if prototypes.root == "" {
		root, err := os.MkdirTemp("", "dncd-store-")
		must(t, err)
		prototypes.root = root
	}
	d := newPrototype(t, filepath.Join(prototypes.root, fmt.Sprint("clean-", clean)), clean)
	prototypes.made[clean] = d
	return d
}

func newPrototype(t *testing.T, left string, clean bool) damagedStore {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	d := damagedStore{dir: left, numbers: registryNumbers(20_000)}
	createList(t, s, "us-ftc", Settings{})
	load(t, s, "us-ftc", Replace, d.numbers, Commit{})
	for i := range damagedOptOuts {
		n := fiction(415, i)
		if _, err := s.RecordOptOut(context.Background(), OptOut{Number: n, Scope: "acme"}, Request{Story: Story{Desk: "after-sales"}}); err != nil {
			t.Fatal(err)
		}
	}
	d.journal, d.last = s.View().JournalID(), s.View().Revision()
	if clean {
		closeStore(t, s)
	}
	copyTree(t, dir, left)
	return d
}

func (d *damagedStore) file(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(d.dir, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("no file %s: %v", pattern, err)
	}
	return slices.MaxFunc(found, func(a, b string) int { return int(size(t, a) - size(t, b)) })
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// flip turns one byte of a file, at a share of what it holds before its zeros.
func flip(t *testing.T, path string, share float64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(b)
	for end > 0 && b[end-1] == 0 {
		end--
	}
	at := int64(float64(end-1) * share)
	writeAt(t, path, at, []byte{b[at] ^ 0x10})
}

// writeAt writes bytes at a place of a file; the rest, its holes too, stays as it is.
func writeAt(t *testing.T, path string, at int64, bytes []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(bytes, at)
	must(t, errors.Join(err, f.Close()))
}

func appendByte(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err = errors.Join(err, os.WriteFile(path, append(b, 'x'), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// cut takes the last bytes from a file.
func cut(t *testing.T, path string, bytes int64) {
	t.Helper()
	if err := os.Truncate(path, size(t, path)-bytes); err != nil {
		t.Fatal(err)
	}
}

// cutManifest takes from the MANIFEST the record of the table that a clean stop wrote, so that Badger would delete it.
func cutManifest(t *testing.T, d *damagedStore) {
	t.Helper()
	before, err := os.ReadFile(filepath.Join(d.dir, "badger", "MANIFEST"))
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, open(t, d.dir))
	after, err := os.ReadFile(filepath.Join(d.dir, "badger", "MANIFEST"))
	if err != nil || len(after) <= len(before) {
		t.Fatalf("a clean stop adds no table to the MANIFEST: %d bytes, then %d, %v", len(before), len(after), err)
	}
	if err := os.WriteFile(filepath.Join(d.dir, "badger", "MANIFEST"), before, 0o600); err != nil {
		t.Fatal(err)
	}
}

// cutLog zeroes the end of the log, so that what lay there is gone for good.
func cutLog(t *testing.T, d *damagedStore) {
	t.Helper()
	path := d.file(t, "badger/*.mem")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(b, "\x00"))
	clear(b[end*9/10 : end])
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// treeOf is every file below dir with the hash of its content.
func treeOf(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	tree := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		hash := sha256.New()
		size, err := eachBlock(path, func(at int64, block []byte) error {
			hash.Write(binary.BigEndian.AppendUint64(nil, uint64(at)))
			hash.Write(block)
			return nil
		})
		tree[path] = sha256.Sum256(fmt.Appendf(hash.Sum(nil), "%d", size))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func mustFsck(t *testing.T, dir string) Report {
	t.Helper()
	r, err := Fsck(context.Background(), dir, testOptions())
	if err != nil {
		t.Fatal("fsck:", err)
	}
	return r
}

// wantWhole checks that a repaired store holds every opt-out, and its list or none of it.
func (d *damagedStore) wantWhole(t *testing.T, unloaded bool) {
	t.Helper()
	s := open(t, d.dir)
	defer closeStore(t, s)
	if cause := s.State().Cause; cause != nil {
		t.Fatal("repaired store:", cause)
	}
	for i := range damagedOptOuts {
		wantVerdict(t, s, fiction(415, i), "acme", policy.Block, policy.CauseNone)
	}
	facts, err := s.View().Number(fiction(415, 1), s.Now())
	if err != nil || len(facts.Records) != 1 {
		t.Errorf("number: %+v, %v", facts, err)
	}
	listed := phone.Number(d.numbers[77])
	if unloaded {
		wantVerdict(t, s, listed, "other", policy.Unknown, policy.NotLoaded)
		return
	}
	wantVerdict(t, s, listed, "other", policy.Block, policy.CauseNone)
	if got := export(t, s, "us-ftc"); !slices.Equal(got, d.numbers) {
		t.Errorf("list holds %d numbers, want %d", len(got), len(d.numbers))
	}
	optOut(t, s, fiction(212, 1), "acme")
	if got := s.View().Revision(); got <= d.last {
		t.Errorf("next revision %d, want after %d", got, d.last)
	}
}

func TestFsckFindsNothingOnAWholeStore(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		d := makeStore(t, clean)
		r := mustFsck(t, d.dir)
		if !r.OK() || r.Revision != d.last || r.JournalID != d.journal || r.Events < damagedOptOuts || r.Missing.Stories != 0 || len(r.Past) > 0 {
			t.Errorf("clean %v: %+v", clean, r)
		}
		d.wantWhole(t, false)
	}
}

func TestRepairOfEveryKindOfDamage(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	for _, c := range []struct {
		name   string
		clean  bool
		damage func(t *testing.T, d *damagedStore)
		loss   bool // without --accept-loss it refuses
		either bool // it may refuse: the flip meets a record or a revision
	}{
		{name: "no MANIFEST", clean: true, damage: func(t *testing.T, d *damagedStore) { os.Remove(d.file(t, "badger/MANIFEST")) }},
		{name: "MANIFEST flipped", clean: true, damage: func(t *testing.T, d *damagedStore) { flip(t, d.file(t, "badger/MANIFEST"), 0.5) }},
		{name: "MANIFEST without its end", damage: cutManifest},
		{name: "KEYREGISTRY emptied", clean: true, damage: func(t *testing.T, d *damagedStore) {
			path := d.file(t, "badger/KEYREGISTRY")
			cut(t, path, size(t, path))
		}},
		{name: "stories' KEYREGISTRY emptied", clean: true, damage: func(t *testing.T, d *damagedStore) {
			path := d.file(t, "stories/KEYREGISTRY")
			cut(t, path, size(t, path))
		}},
		{name: "stories' MANIFEST", clean: true, damage: func(t *testing.T, d *damagedStore) { flip(t, d.file(t, "stories/MANIFEST"), 0.5) }},
		{name: "the log flipped near its end", damage: func(t *testing.T, d *damagedStore) { flip(t, d.file(t, "badger/*.mem"), 0.999) }, either: true},
		{name: "the log flipped in the middle", damage: func(t *testing.T, d *damagedStore) { flip(t, d.file(t, "badger/*.mem"), 0.8) }, either: true},
		{name: "a table with a byte behind it", clean: true, damage: func(t *testing.T, d *damagedStore) { appendByte(t, d.file(t, "badger/*.sst")) }},
		{name: "a table without its last byte", clean: true, damage: func(t *testing.T, d *damagedStore) { cut(t, d.file(t, "badger/*.sst"), 1) }},
		{name: "a table without its last 8 bytes", clean: true, damage: func(t *testing.T, d *damagedStore) { cut(t, d.file(t, "badger/*.sst"), 8) }},
		{name: "a table flipped in its last byte", clean: true, damage: func(t *testing.T, d *damagedStore) { flip(t, d.file(t, "badger/*.sst"), 1) }},
		{name: "stories' table without its end", clean: true, damage: func(t *testing.T, d *damagedStore) { cut(t, d.file(t, "stories/*.sst"), 1) }},
		{name: "story table", clean: true, damage: func(t *testing.T, d *damagedStore) { flip(t, d.file(t, "stories/*.sst"), 0.3) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := makeStore(t, c.clean)
			c.damage(t, &d)
			before := treeOf(t, d.dir)
			if r := mustFsck(t, d.dir); r.OK() {
				t.Fatal("fsck finds nothing")
			}
			if diff := cmp.Diff(before, treeOf(t, d.dir)); diff != "" {
				t.Fatalf("fsck changed files:\n%s", diff)
			}
			r, err := Repair(context.Background(), d.dir, false, testOptions())
			if c.either {
				c.loss = errors.Is(err, ErrLoss)
			}
			if c.loss {
				if !errors.Is(err, ErrLoss) {
					t.Fatalf("repair: %v, want ErrLoss", err)
				}
				r, err = Repair(context.Background(), d.dir, true, testOptions())
			}
			if err != nil || !r.Repaired || r.Kept == "" {
				t.Fatalf("repair: %+v, %v", r, err)
			}
			if changed := r.JournalID != d.journal; changed != c.loss {
				t.Errorf("journal id changed: %v, want %v", changed, c.loss)
			}
			if r := mustFsck(t, d.dir); !r.OK() {
				t.Fatalf("after repair: %v", r.Problems)
			}
			d.wantWhole(t, false)
		})
	}
}

// A flip anywhere in the largest table: journal, state or blocks. Whatever is hit, repair gives a whole store or says
// what is lost, and nobody becomes callable meanwhile.
func TestRepairOfAFlippedTable(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, share := range []float64{0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97, 0.999} {
		d := makeStore(t, true)
		flip(t, d.file(t, "badger/*.sst"), share)
		if r := mustFsck(t, d.dir); r.OK() {
			t.Errorf("at %v: fsck finds nothing", share)
			continue
		}
		r, err := Repair(context.Background(), d.dir, false, testOptions())
		if errors.Is(err, ErrLoss) {
			if len(r.Lost) == 0 {
				t.Errorf("at %v: loss without a gap: %+v", share, r)
			}
			seen["loss"]++
			if r, err = Repair(context.Background(), d.dir, true, testOptions()); err != nil {
				t.Errorf("at %v: with the loss accepted: %v", share, err)
				continue
			}
			if r := mustFsck(t, d.dir); !r.OK() {
				t.Errorf("at %v: after an accepted loss: %v", share, r.Problems)
			}
			d.wantWhole(t, len(r.Unloaded) > 0)
			continue
		}
		if err != nil {
			t.Errorf("at %v: %v", share, err)
			continue
		}
		if r := mustFsck(t, d.dir); !r.OK() {
			t.Errorf("at %v: after repair: %v", share, r.Problems)
		}
		if len(r.Unloaded) > 0 {
			seen["unloaded"]++
		} else {
			seen["whole"]++
		}
		d.wantWhole(t, len(r.Unloaded) > 0)
	}
	if len(seen) < 3 {
		t.Errorf("outcomes %v, want each of loss, unloaded and whole: the flips no longer meet all kinds of values", seen)
	}
}

// Without a mark that says where the journal ends, repair names no loss that it cannot know of, and goes on only when a
// person says so.
func TestRepairWithoutTheEnd(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	for _, clean := range []bool{true, false} {
		for name, damage := range map[string]func(path string) error{
			"gone":    os.Remove,
			"empty":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
			"cut":     func(path string) error { return os.Truncate(path, markBytes/2) },
			"zeroed":  func(path string) error { return os.WriteFile(path, make([]byte, 2*markSlotBytes), 0o600) },
			"older":   func(path string) error { return os.WriteFile(path, markOf(t, 3), 0o600) },
			"another": func(path string) error { return os.WriteFile(path, markOf(t, 0), 0o600) },
		} {
			t.Run(fmt.Sprintf("%s, clean stop %v", name, clean), func(t *testing.T) {
				t.Parallel()
				d := makeStore(t, clean)
				if err := damage(d.file(t, journal.MarkName)); err != nil {
					t.Fatal(err)
				}
				if r := mustFsck(t, d.dir); r.OK() || !r.NoEnd || len(r.Lost) > 0 || r.Revision != d.last {
					t.Errorf("fsck: %+v", r)
				}
				before := treeOf(t, d.dir)
				r, err := Repair(context.Background(), d.dir, false, testOptions())
				if !errors.Is(err, ErrNoEnd) || errors.Is(err, ErrLoss) || len(r.Lost) > 0 || r.Revision != d.last {
					t.Errorf("repair: %v, want ErrNoEnd; %+v", err, r)
				}
				if diff := cmp.Diff(before, treeOf(t, d.dir)); diff != "" {
					t.Errorf("a refused repair changed files:\n%s", diff)
				}
				r, err = Repair(context.Background(), d.dir, true, testOptions())
				if err != nil || len(r.Lost) > 0 || r.JournalID == d.journal || r.Revision <= d.last {
					t.Fatalf("repair that was accepted: %v, %+v", err, r)
				}
				if r := mustFsck(t, d.dir); !r.OK() {
					t.Errorf("after it: %v", r.Problems)
				}
				d.wantWhole(t, false)
			})
		}
	}
}

// markOf is the mark of a store of its own with so many opt-outs.
func markOf(t *testing.T, optOuts int) []byte {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir)
	for i := range optOuts {
		optOut(t, s, fiction(415, i), "acme")
	}
	closeStore(t, s)
	b, err := os.ReadFile(filepath.Join(dir, journal.MarkName))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRepairNeverUsesALostRevisionAgain(t *testing.T) {
	t.Parallel()
	d := makeStore(t, false)
	cutLog(t, &d)
	r, err := Repair(context.Background(), d.dir, true, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Lost) == 0 || r.Revision <= d.last {
		t.Errorf("lost %v, goes on at revision %d, want after %d", r.Lost, r.Revision, d.last)
	}
	s := open(t, d.dir)
	if _, err := s.ViewAt(d.last); !errors.Is(err, ErrHistoryGone) {
		t.Errorf("view at a lost revision: %v, want ErrHistoryGone", err)
	}
}

// A mark with one slot flipped still has the other, which is one revision behind at the most.
func TestFlippedSlotOfTheMarkIsNoDamage(t *testing.T) {
	t.Parallel()
	for _, share := range []float64{0.001, 0.3, 0.6, 0.999} {
		for _, slot := range []int{0, markSlotBytes} {
			d := makeStore(t, false)
			path := d.file(t, "mark")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[slot+int(share*float64(markBytes-1))] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if r := mustFsck(t, d.dir); !r.OK() {
				t.Errorf("slot %d at %v: %v", slot, share, r.Problems)
			}
			d.wantWhole(t, false)
		}
	}
}

// Without database and mark, what else lies there says that a store was here: never an empty one.
func TestStoreWithoutDatabaseIsDamaged(t *testing.T) {
	t.Parallel()
	for _, clean := range []bool{true, false} {
		d := makeStore(t, clean)
		for _, part := range []string{badgerDir, journal.MarkName} {
			if err := os.RemoveAll(filepath.Join(d.dir, part)); err != nil {
				t.Fatal(err)
			}
		}
		if r := mustFsckOrGone(t, d.dir); r.OK() {
			t.Errorf("clean %v: fsck finds nothing", clean)
		}
		s := open(t, d.dir)
		wantVerdict(t, s, fiction(415, 1), "acme", policy.Unknown, policy.DataDamaged)
		closeStore(t, s)
	}
}

// mustFsckOrGone is mustFsck where the database may be missing altogether.
func mustFsckOrGone(t *testing.T, dir string) Report {
	t.Helper()
	r, err := Fsck(context.Background(), dir, testOptions())
	if err != nil {
		r.problem(err)
	}
	return r
}
