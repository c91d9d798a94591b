package store

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/seal"
)

// blockFilesOf are the files of loads below a data directory.
func blockFilesOf(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, blocksDir, "*.blocks"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Guarantees 1 and 2: where the blocks of a list are damaged, nobody becomes callable: at open, at a check, and after repair.
func TestDamagedBlockFileIsDoubt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, path string)
		atOpen bool // else when such a block is read
	}{
		{"flipped", func(t *testing.T, path string) { flip(t, path, 0.5) }, false},
		{"cut", func(t *testing.T, path string) { must(t, os.Truncate(path, size(t, path)-1)) }, true},
		{"gone", func(t *testing.T, path string) { must(t, os.Remove(path)) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := makeStore(t, true)
			c.damage(t, d.file(t, blocksDir+"/*"))
			s := open(t, d.dir)
			if damaged := s.State().Cause != nil; damaged != c.atOpen {
				t.Errorf("damaged at open: %v, want %v", damaged, c.atOpen)
			}
			unknown := 0
			for _, n := range d.numbers {
				switch v := verdict(s.View(), phone.Number(n), "other", s.Now()).Verdict; v {
				case policy.Block:
				case policy.Unknown:
					unknown++
				default:
					t.Fatalf("a listed number: %v", v)
				}
			}
			if unknown == 0 || !errors.Is(s.State().Cause, ErrDamaged) {
				t.Errorf("%d unknown of %d, state %v, want doubt", unknown, len(d.numbers), s.State().Cause)
			}
			wantVerdict(t, s, phone.Number(d.numbers[0]+1), "other", policy.Unknown, policy.DataDamaged)
			s.Close() // may tell of the damage again

			if r := mustFsck(t, d.dir); r.OK() {
				t.Error("fsck finds nothing")
			}
			r, err := Repair(context.Background(), d.dir, false, testOptions())
			if err != nil || !slices.Equal(r.Unloaded, []string{"us-ftc"}) {
				t.Fatalf("repair: unloaded %v, %v, want the list", r.Unloaded, err)
			}
			d.wantWhole(t, true)
		})
	}
}

// A list that was loaded in parts shows blocks of each load: all of their files have to be there.
func TestMissingFileOfAnOlderLoadIsDamage(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	all := registryNumbers(30_000)
	l := createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, all[:20_000], Commit{})
	first := s.files.Path(block.LoadID{List: l.ID, Prepared: listOf(t, s, "a").ContentRevision})
	load(t, s, "a", Add, all[25_000:], Commit{})
	closeStore(t, s)
	must(t, os.Remove(first))
	s = open(t, s.dir)
	if !errors.Is(s.State().Cause, ErrDamaged) {
		t.Errorf("state %v, want damage", s.State().Cause)
	}
	wantVerdict(t, s, phone.Number(all[77]), "", policy.Unknown, policy.DataDamaged)
	s.Close()
	r, err := Repair(context.Background(), s.dir, false, testOptions())
	if err != nil || !slices.Equal(r.Unloaded, []string{"a"}) {
		t.Fatalf("repair: unloaded %v, %v, want the list", r.Unloaded, err)
	}
	s = open(t, s.dir)
	load(t, s, "a", Replace, all, Commit{}) // needs none of the older ones
	closeStore(t, s)
	s = open(t, s.dir)
	if s.State().Cause != nil {
		t.Error("loaded again:", s.State().Cause)
	}
	wantContent(t, s, "a", all, nil)
}

// An answer about the past that cannot be given is doubt, and no damage to the present.
func TestDamageOfOlderContentIsDoubtAboutThePast(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	all := registryNumbers(20_000)
	l := createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, all[:10_000], Commit{})
	old, first := s.View().Revision(), s.files.Path(block.LoadID{List: l.ID, Prepared: listOf(t, s, "a").ContentRevision})
	load(t, s, "a", Replace, all[10_000:], Commit{})
	b, err := os.ReadFile(first)
	must(t, err)
	for i := range b {
		b[i] ^= 1
	}
	must(t, os.WriteFile(first, b, 0o600))
	v, err := s.ViewAt(old)
	must(t, err)
	if got := verdict(v, phone.Number(all[77]), "", v.Now()); got.Verdict != policy.Unknown {
		t.Errorf("as of then: %v, want doubt", got.Verdict)
	}
	wantVerdict(t, s, phone.Number(all[77]), "", policy.Allow, policy.CauseNone)
	wantVerdict(t, s, phone.Number(all[15_000]), "", policy.Block, policy.CauseNone)
	closeStore(t, s)
	if r := mustFsck(t, s.dir); !r.OK() || len(r.Past) != 1 || !strings.Contains(r.Past[0], "list a, loaded at revision 2: ") {
		t.Errorf("fsck: problems %v, past %v, want the first load told", r.Problems, r.Past)
	}
}

// A file that cannot be made for now holds a load up; it is finished as soon as it can, though nobody asks again.
func TestLoadWaitsForItsFile(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	o := testOptions()
	o.Logger = slog.New(slog.NewTextHandler(lineFunc(func(line string) {
		if strings.Contains(line, "cannot be written") {
			cancel()
		}
	}), nil))
	s := openWith(t, t.TempDir(), o)
	l := createList(t, s, "a", usRegistry())
	numbers := registryNumbers(5000)
	path := s.files.Path(block.LoadID{List: l.ID, Prepared: s.View().Revision() + 1}) // of the load that comes next
	must(t, os.MkdirAll(filepath.Join(path, "in the way"), 0o700))
	i := begin(t, s, header("a", Replace))
	must(t, i.Put(Chunk{Seq: 1, Numbers: numbers}))
	_, err := i.Commit(ctx, Commit{Chunks: 1, Read: 5000}, silent)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("commit: %v, want the end of the caller who was there until the file could not be made", err)
	}
	if listOf(t, s, "a").Pending == 0 {
		t.Fatal("nothing is pending: the file was not in the way")
	}
	must(t, os.RemoveAll(path))
	awaitIdle(t, s, "a")
	wantContent(t, s, "a", numbers, nil)
}

// lineFunc is a log that calls itself with each line.
type lineFunc func(line string)

func (f lineFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A block that takes no more than its place would lies in the database: a list of such has no file.
func TestShortBlocksNeedNoFile(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", Settings{Kind: policy.ListSuppression})
	var sparse []uint64
	for i := range uint64(2000) {
		sparse = append(sparse, 12_012_000_000+i*block.Size/4)
	}
	load(t, s, "a", Replace, sparse, Commit{})
	if found := blockFilesOf(t, s.dir); len(found) != 0 {
		t.Errorf("a sparse list has files: %v", found)
	}
	dense := registryNumbers(20_000)
	load(t, s, "a", Add, dense, Commit{})
	if found := blockFilesOf(t, s.dir); len(found) != 1 {
		t.Errorf("after a dense load: files %v, want one", found)
	}
	wantContent(t, s, "a", union(sparse, dense), nil)
	closeStore(t, s)
	if r := mustFsck(t, s.dir); !r.OK() {
		t.Error("fsck:", r.Problems)
	}
}

// Nothing reads the blocks of a load that was abandoned, so its file goes, and the next load does not miss it.
func TestAbandonedLoadLeavesNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	all := registryNumbers(30_000)
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, all[:20_000], Commit{})
	prepareOnly(t, s, header("a", Replace), all[5000:], Commit{})
	writeBlocks(t, s, "a", 40)
	abandoned := s.files.Path(block.LoadID{List: listOf(t, s, "a").ID, Prepared: listOf(t, s, "a").Pending})
	if size(t, abandoned) == 0 {
		t.Fatal("the prepared load has no blocks")
	}
	h := header("a", Remove)
	h.TakeOver = true
	if _, err := commit(begin(t, s, h), all[:100], Commit{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(abandoned); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of the abandoned load: %v, want it gone", err)
	}
	closeStore(t, s)
	kept := blockFilesOf(t, dir)
	must(t, os.WriteFile(abandoned, []byte("left by a crash"), 0o600))
	s = open(t, dir)
	if got := blockFilesOf(t, dir); !slices.Equal(got, kept) {
		t.Errorf("files %v after a restart, want %v", got, kept)
	}
	wantContent(t, s, "a", all[100:20_000], all[20_000:])
}

// Stores of before hold every block in the database.
func TestLongBlockInTheDatabaseIsRead(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	l := createList(t, s, "a", usRegistry())
	numbers := registryNumbers(5000)
	load(t, s, "a", Replace, numbers, Commit{})
	l = s.View().listByID(l.ID)
	for b, err := range s.listBlocks(l, l.ContentRevision) {
		must(t, err)
		txn := s.db.NewTransactionAt(l.ContentRevision, true)
		key := keys.Block(l.ID, b.number)
		must(t, errors.Join(txn.Set(key, seal.Value(key, b.bits.AppendPacked(nil))), txn.CommitAt(l.ContentRevision, nil)))
		txn.Discard()
	}
	must(t, s.files.Close())
	must(t, os.Remove(blockFilesOf(t, s.dir)[0]))
	s.blocks.cache.InvalidateAll()
	if got := export(t, s, "a"); !slices.Equal(got, numbers) {
		t.Errorf("%d numbers, want %d", len(got), len(numbers))
	}
	wantVerdict(t, s, phone.Number(numbers[77]), "", policy.Block, policy.CauseNone)
}
