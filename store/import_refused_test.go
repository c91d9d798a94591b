package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/policy"
)

// refuse stages chunks and has a guard refuse them. It returns the id of the import, which is closed.
func refuse(t *testing.T, s *Store, h Header, chunks [][]uint64) (id string) {
	t.Helper()
	i := resume(t, s, h)
	putChunks(t, i, chunks)
	if r, err := commitChunks(i, chunks); err != nil || !r.Refused {
		t.Fatalf("%+v (%v), want a refusal", r, err)
	}
	i.Close()
	return i.ID()
}

// shrinking is a list of 1000 numbers, and a header that lets it lose none.
func shrinking(t *testing.T, s *Store) Header {
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, registryNumbers(1000), Commit{})
	h := header("a", Replace)
	h.Guards.MaxShrink = 0
	return h
}

func TestRefusedLoadIsCommittedAgainWithoutItsChunks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	h := shrinking(t, s)
	chunks := inChunks(registryNumbers(500))
	first := refuse(t, s, h, chunks)
	second := refuse(t, s, h, chunks)
	if first == second {
		t.Error("the import goes on under its old id")
	}
	closeStore(t, s)
	s = open(t, dir)
	h.Override = true
	i := resume(t, s, h)
	if i.LastChunk() != 5 || i.ID() == second {
		t.Fatalf("goes on at chunk %d, want 5, all of them", i.LastChunk())
	}
	if r, err := commitChunks(i, chunks); err != nil || r.Refused || r.Removed != 500 || r.Read != 500 {
		t.Errorf("%+v (%v), want 500 numbers removed", r, err)
	}
	i.Close()
	wantContent(t, s, "a", slices.Concat(chunks...), nil)
	awaitIdle(t, s, "a")
	if files := stageFiles(t, s); len(files) != 0 {
		t.Errorf("left in the stage after the load: %v", files)
	}
}

// A file that changed after the refusal is loaded as it is then.
func TestRefusedLoadOfAFileThatChanged(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	h := shrinking(t, s)
	before := inChunks(registryNumbers(500))
	refuse(t, s, h, before)
	after := [][]uint64{before[0], registryNumbers(700)[600:], before[2]}
	h.Override = true
	i := resume(t, s, h)
	putChunks(t, i, after)
	if i.LastChunk() != 3 {
		t.Errorf("chunk %d, want 3: what was behind the change stays", i.LastChunk())
	}
	if r, err := commitChunks(i, after); err != nil || r.Accepted != 300 {
		t.Errorf("%+v (%v), want 300 numbers", r, err)
	}
	want := slices.Concat(after...)
	slices.Sort(want)
	wantContent(t, s, "a", want, before[1])
}

// Content that the list holds is refused for its date, told by its chunks, and confirmed so too.
func TestRefusedDateOfHeldContent(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	chunks := inChunks(registryNumbers(300))
	c := Commit{Chunks: 3, Read: 300, Digest: digestOf(chunks), SnapshotDate: policy.DateOf(day(5))}
	h := header("a", Replace)
	loadChunks(t, s, h, chunks, c)
	for _, override := range []bool{false, true} {
		h.Override = override
		i := resume(t, s, h)
		if last := i.LastChunk(); override && last != 3 {
			t.Errorf("goes on at chunk %d, want 3", last)
		}
		putChunks(t, i, chunks)
		c.SnapshotDate = policy.DateOf(day(4))
		r, err := i.Commit(context.Background(), c, func(Progress) { t.Error("compared") })
		if err != nil || r.Refused == override || override && !r.AlreadyLoaded {
			t.Errorf("override %v: %+v (%v)", override, r, err)
		}
		i.Close()
	}
	if files := stageFiles(t, s); len(files) != 0 {
		t.Errorf("left in the stage: %v", files)
	}
}

// stages are the stages of imports, without what is sorted.
func stages(t *testing.T, s *Store) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(s.dir, stageDir, "*", metaFile))
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func TestRefusedStageIsKeptWhereItHelps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dryRun bool
		chunks [][]uint64
		room   int64 // times what is staged; sorting takes two
		kept   int
	}{
		"room for another": {false, inChunks(registryNumbers(500)), 4, 1},
		"dry run":          {true, inChunks(registryNumbers(500)), 4, 0},
		"nothing accepted": {false, nil, 4, 0},
		"the disk is full": {false, inChunks(registryNumbers(500)), 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := openWith(t, t.TempDir(), Options{MinFree: 1, Ballast: -1})
			h := shrinking(t, s)
			h.DryRun = c.dryRun
			i := begin(t, s, h)
			putChunks(t, i, c.chunks)
			fixSpace(s, c.room*i.log.Size)
			if r, err := commitChunks(i, c.chunks); err != nil || !r.Refused {
				t.Fatalf("%+v (%v), want a refusal", r, err)
			}
			i.Close()
			if left := stages(t, s); len(left) != c.kept {
				t.Errorf("left %v, want %d", left, c.kept)
			}
		})
	}
}

// A list keeps the stage of its last refusal alone, and of none that a caller holds.
func TestRefusedStagesAreOneAList(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	h := shrinking(t, s)
	chunks := inChunks(registryNumbers(500))
	withFile := func(name string) Header {
		h.Files = []string{name}
		return h
	}
	first := refuse(t, s, withFile("monday"), chunks)
	refuse(t, s, withFile("tuesday"), chunks)
	if _, err := os.Stat(stagePath(s, first)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stage of the refusal before: %v, want it gone", err)
	}
	held := resume(t, s, withFile("tuesday"))
	refuse(t, s, withFile("wednesday"), chunks)
	if held.LastChunk() != 5 || len(stages(t, s)) != 2 {
		t.Errorf("%d stages, want that of the last refusal and the one that is gone on with", len(stages(t, s)))
	}
}

// The second of two callers waits for the refusal of the first, and goes on with its stage.
func TestSecondCallerGoesOnAfterTheRefusal(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	h := shrinking(t, s)
	chunks := inChunks(registryNumbers(500))
	first := resume(t, s, h)
	putChunks(t, first, chunks)
	if r, err := commitChunks(first, chunks); err != nil || !r.Refused {
		t.Fatalf("%+v (%v), want a refusal", r, err)
	}
	last := make(chan uint64)
	go func() {
		i, err := s.ResumeImport(context.Background(), h)
		if err != nil {
			t.Error(err)
			close(last)
			return
		}
		defer i.Close()
		last <- i.LastChunk()
	}()
	first.Close()
	if got := <-last; got != 5 {
		t.Errorf("goes on at chunk %d, want 5", got)
	}
}
