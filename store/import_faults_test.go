package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/policy"
)

// failingOnce fails the n-th write of a step.
func failingOnce(at step, n int64, w way) faults {
	var met atomic.Int64
	return func(s step, write func() error) error {
		if s != at || met.Add(1) != n {
			return write()
		}
		return w(write)
	}
}

// loadFault is a write of a load that fails, and whether the load counts when the store is opened again.
type loadFault struct {
	name  string
	at    step
	n     int64 // of these
	way   way
	there bool
}

// TestFailedWriteOfALoad fails the commits that a load's acknowledgement rests on. The load is not acknowledged and not visible,
// nothing is written any more, and the store is not ready. Opened again it shows the old content until it has finished the load
// by itself, or for good where the load was never prepared.
func TestFailedWriteOfALoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	for _, f := range []loadFault{
		{"prepared event", stepCommit, 1, notWritten, false},
		{"prepared event, written", stepCommit, 1, writtenAndFailed, true},
		{"mark of the prepared event", stepMark, 1, notWritten, true},
		{"first blocks", stepBlocks, 1, notWritten, true},
		{"later blocks, written", stepBlocks, 2, writtenAndFailed, true},
		{"switch", stepCommit, 2, notWritten, true},
		{"switch, written", stepCommit, 2, writtenAndFailed, true},
		{"mark of the switch", stepMark, 2, notWritten, true},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			f.run(t)
		})
	}
}

func (f *loadFault) run(t *testing.T) {
	dir, killed := t.TempDir(), filepath.Join(t.TempDir(), "data")
	s, injector := openInjected(t, dir)
	createList(t, s, "registry", Settings{Kind: policy.ListSuppression})
	was, now := childContent(1), childContent(2)
	load(t, s, "registry", Replace, was, Commit{})
	injector.set(failingOnce(f.at, f.n, f.way))
	if r, err := replaceList(s, "registry", now); !errors.Is(err, ErrReadOnly) || !errors.Is(err, errInjected) {
		t.Errorf("load: %+v, %v; want ErrReadOnly with what failed", r, err)
	}
	if got := int64(injector.count(f.at)); got != f.n {
		t.Errorf("%d writes of step %s, want none after the %d-th", got, f.at, f.n)
	}
	if st := s.State(); st.Ready() || !errors.Is(st.Cause, ErrReadOnly) {
		t.Errorf("state: %v, want ErrReadOnly", st.Cause)
	}
	if got := export(t, s, "registry"); !slices.Equal(got, was) {
		t.Errorf("the list holds %d numbers, want the %d from before", len(got), len(was))
	}
	wantNoMoreWrites(t, s)
	copyTree(t, dir, killed)
	closeStore(t, s)
	if !f.there {
		now = was
	}
	for _, dir := range []string{killed, dir} {
		s := open(t, dir)
		settle(t, s)
		if got := export(t, s, "registry"); !slices.Equal(got, now) || s.State().Cause != nil {
			t.Errorf("opened again: %d numbers, %v; want %d", len(got), s.State().Cause, len(now))
		}
		closeStore(t, s)
	}
}

// A block file that cannot be written makes the load wait, as on a full disk. It switches once all is written, and not before.
func TestFailedWriteOfBlocksIsTriedAgain(t *testing.T) {
	t.Parallel()
	for _, w := range []way{notWritten, writtenAndFailed} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, injector := openInjected(t, dir)
			createList(t, s, "a", Settings{Kind: policy.ListSuppression})
			injector.set(failingOnce(stepBlockFile, 2, func(write func() error) error {
				if l := listOf(t, s, "a"); l.Loaded || l.Pending == 0 {
					t.Errorf("while blocks are missing: loaded %v, pending %d", l.Loaded, l.Pending)
				}
				return w(write)
			}))
			numbers := denseNumbers(3_000_000) // several commits with blocks that lie in the file
			load(t, s, "a", Replace, numbers, Commit{})
			if n := injector.count(stepBlockFile); n < 4 || s.State().Cause != nil {
				t.Errorf("%d writes of blocks, %v; want the load begun again", n, s.State().Cause)
			}
			closeStore(t, s)
			if got := export(t, open(t, dir), "a"); !slices.Equal(got, numbers) {
				t.Errorf("the list holds %d numbers, want %d", len(got), len(numbers))
			}
		})
	}
}

// halfFrame leaves a frame in a log that was not written whole.
func halfFrame(path func() string) way {
	return func(func() error) error {
		f, err := os.OpenFile(path(), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.Write([]byte{200, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8})
		return errors.Join(err, f.Close(), errInjected)
	}
}

// TestFailedWriteOfAStage fails what a client is told is staged. The client hears of it; the store goes on, since nothing that
// counts is in doubt; and the import goes on behind what was staged as a whole, also after a crash.
func TestFailedWriteOfAStage(t *testing.T) {
	t.Parallel()
	first, second := childContent(1)[:1000], childContent(1)[1000:2000]
	for _, c := range []struct {
		at   step
		torn bool
	}{{stepChunk, false}, {stepChunk, true}, {stepChunkSync, false}, {stepContent, false}} {
		t.Run(fmt.Sprintf("%s, torn %v", c.at, c.torn), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, injector := openInjected(t, dir)
			createList(t, s, "a", Settings{Kind: policy.ListSuppression})
			i := begin(t, s, header("a", Replace))
			put(t, i, 1, first...)
			must(t, i.Sync())
			w := notWritten
			if c.torn {
				w = halfFrame(func() string { return filepath.Join(i.dir, chunksFile) })
			}
			injector.set(failing(c.at, w))
			if err := stageAndCommit(i, second); !errors.Is(err, errInjected) {
				t.Fatalf("%v, want what failed", err)
			}
			if st := s.State(); st.Cause != nil || listOf(t, s, "a").Loaded {
				t.Errorf("state: %v, loaded: %v; want the store to go on", st.Cause, listOf(t, s, "a").Loaded)
			}
			killed := filepath.Join(t.TempDir(), "data")
			copyTree(t, dir, killed)
			s = open(t, killed)
			h := header("a", Replace)
			h.ImportID = i.ID()
			i = begin(t, s, h)
			for i.LastChunk() < 2 {
				put(t, i, i.LastChunk()+1, [][]uint64{first, second}[i.LastChunk()]...)
			}
			_, err := i.Commit(context.Background(), Commit{Chunks: 2, Read: 2000}, silent)
			must(t, err)
			wantContent(t, s, "a", childContent(1)[:2000], nil)
		})
	}
}

func stageAndCommit(i *Import, second []uint64) error {
	if err := i.Put(Chunk{Seq: 2, Numbers: slices.Clone(second)}); err != nil {
		return err
	}
	if err := i.Sync(); err != nil {
		return err
	}
	_, err := i.Commit(context.Background(), Commit{Chunks: 2, Read: 2000}, silent)
	return err
}

// TestFailedWriteOfStagedOptOuts is the same for objections by file: each row is recorded once, none before the commit that
// succeeds, unless the order to record them reached the disk.
func TestFailedWriteOfStagedOptOuts(t *testing.T) {
	t.Parallel()
	for _, c := range []rowsFault{
		{"rows", stepRows, func(*RecordImport) way { return notWritten }, false},
		{"rows, torn", stepRows, func(i *RecordImport) way {
			return halfFrame(func() string { return filepath.Join(i.dir, rowsFile) })
		}, false},
		{"order", stepRowsCommit, func(*RecordImport) way { return notWritten }, false},
		{"order, written", stepRowsCommit, func(*RecordImport) way { return writtenAndFailed }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// rowsFault is a write of objections by file that fails, and whether they count after a restart without another commit.
type rowsFault struct {
	name  string
	at    step
	way   func(*RecordImport) way
	there bool
}

func (f *rowsFault) run(t *testing.T) {
	dir, killed := t.TempDir(), filepath.Join(t.TempDir(), "data")
	s, injector := openInjected(t, dir)
	rows := bulkRows(0, 3000)
	i := stageRows(t, s, RecordsHeader{}, rows[:2500])
	release := holdCommitter(t, s) // no sweep records the rows of an order that was written: what lies on disk is of one moment
	injector.set(failing(f.at, f.way(i)))
	err := i.Put(RowChunk{Seq: 2, Rows: rows[2500:]})
	if err == nil {
		_, err = i.Commit(context.Background(), RecordsCommit{Chunks: 2, Read: 3000}, noProgress)
	}
	if !errors.Is(err, errInjected) || s.State().Cause != nil || s.View().Revision() != 0 {
		t.Errorf("%v, state %v, revision %d; want what failed, and the store to go on", err, s.State().Cause, s.View().Revision())
	}
	must(t, i.Close())
	copyTree(t, dir, killed)
	release()
	closeStore(t, s)
	f.wantOnce(t, killed, i.ID(), rows)
	f.wantOnce(t, dir, i.ID(), rows)
}

// wantOnce opens what the failure left behind, and goes on with the import.
func (f *rowsFault) wantOnce(t *testing.T, dir, id string, rows []RecordRow) {
	t.Helper()
	s := open(t, dir)
	if f.there {
		awaitRecorded(t, s, len(rows))
	}
	i, err := s.BeginRecords(RecordsHeader{ImportID: id})
	must(t, err)
	defer i.Close()
	if i.LastChunk() == 1 {
		must(t, i.Put(RowChunk{Seq: 2, Rows: rows[2500:]}))
	}
	if r, err := i.Commit(context.Background(), RecordsCommit{Chunks: 2, Read: 3000}, noProgress); err != nil || r.Accepted != 3000 {
		t.Errorf("%+v, %v; want each row recorded once", r, err)
	}
	awaitRecorded(t, s, len(rows))
}

// awaitRecorded waits until so many numbers are recorded, each once.
func awaitRecorded(t *testing.T, s *Store, want int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		st := s.Stats()
		if st.Numbers == uint64(want) && st.Records == st.Numbers {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d numbers with %d records, want %d; state %v", st.Numbers, st.Records, want, s.State().Cause)
		}
	}
}
