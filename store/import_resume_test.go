package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/policy"
)

// hashed is a chunk as the server makes it.
func hashed(seq uint64, numbers []uint64) Chunk {
	return Chunk{Seq: seq, Hash: chunkhash.Of(nil, numbers, nil, nil), Numbers: slices.Clone(numbers)}
}

func digestOf(chunks [][]uint64) []byte {
	var hashes []chunkhash.Hash
	for _, c := range chunks {
		hashes = append(hashes, chunkhash.Of(nil, c, nil, nil))
	}
	return chunkhash.Digest(hashes)
}

// inChunks cuts numbers into chunks of 100.
func inChunks(numbers []uint64) [][]uint64 { return slices.Collect(slices.Chunk(numbers, 100)) }

// putChunks stages chunks from the first on.
func putChunks(t testing.TB, i *Import, chunks [][]uint64) {
	t.Helper()
	for k, c := range chunks {
		if err := i.Put(hashed(uint64(k)+1, c)); err != nil {
			t.Fatal("put chunk:", err)
		}
	}
}

func resume(t testing.TB, s *Store, h Header) *Import {
	t.Helper()
	i, err := s.ResumeImport(context.Background(), h)
	if err != nil {
		t.Fatal("resume import:", err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

// stop stages chunks of a new import and leaves it, as a client that is killed.
func stop(t testing.TB, s *Store, h Header, chunks [][]uint64) (id string) {
	t.Helper()
	i := begin(t, s, h)
	putChunks(t, i, chunks)
	i.Close()
	return i.ID()
}

// commitChunks commits an import of these chunks with their digest.
func commitChunks(i *Import, chunks [][]uint64) (Result, error) {
	c := Commit{Chunks: uint64(len(chunks)), Read: uint64(len(slices.Concat(chunks...))), Digest: digestOf(chunks)}
	return i.Commit(context.Background(), c, silent)
}

func TestImportOfAnotherProcessGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	chunks := inChunks(registryNumbers(1000))
	id := stop(t, s, h, chunks[:4])
	closeStore(t, s)
	s = open(t, dir)
	i := resume(t, s, h)
	if diff := cmp.Diff(digestOf(chunks[:4]), chunkhash.Digest(i.ChunkHashes())); diff != "" || i.LastChunk() != 4 || i.Committed() {
		t.Errorf("%d chunks, want the 4 staged ones: %s", i.LastChunk(), diff)
	}
	if i.ID() == id {
		t.Error("the import goes on under its old id: the client of before could go on with it too")
	}
	old := h
	old.ImportID = id
	if _, err := s.BeginImport(old); !errors.Is(err, ErrImportNotFound) {
		t.Errorf("under the old id: %v, want ErrImportNotFound", err)
	}
	size := i.log.Size
	putChunks(t, i, chunks[:4])
	if i.log.Size != size {
		t.Error("chunks that are staged were staged again")
	}
	putChunks(t, i, chunks)
	if r, err := commitChunks(i, chunks); err != nil || r.Accepted != 1000 || r.Duplicates != 0 {
		t.Errorf("%+v (%v), want 1000 numbers", r, err)
	}
	wantContent(t, s, "a", registryNumbers(1000), nil)
	if again := resume(t, s, h); again.LastChunk() != 0 {
		t.Errorf("after its commit the import goes on at chunk %d", again.LastChunk())
	}
}

// A file that changed is never mixed with what was staged of it before: from the first chunk that differs, all is new.
func TestChangedChunkCutsOffWhatWasBehindIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	before := inChunks(registryNumbers(1000))
	stop(t, s, h, before)
	after := slices.Clone(before)
	after[6] = []uint64{uint64(fiction(818, 7)), before[0][0] - 1} // shorter, and begins before chunk 6
	i := resume(t, s, h)
	if err := i.Put(hashed(7, after[6])); err != nil {
		t.Fatal(err)
	}
	if i.LastChunk() != 7 {
		t.Errorf("last chunk %d, want 7: what was behind it stays", i.LastChunk())
	}
	if err := i.Put(hashed(9, after[8])); !errors.Is(err, ErrChunkOrder) {
		t.Errorf("chunk 9 after 7: %v, want ErrChunkOrder", err)
	}
	i.Close()
	closeStore(t, s)
	s = open(t, dir)
	i = resume(t, s, h)
	if i.LastChunk() != 7 || i.log.Entries != 602 || i.log.Ascending {
		t.Errorf("opened again: %d chunks of %d numbers, ascending %v, want 7, 602 and false", i.LastChunk(), i.log.Entries, i.log.Ascending)
	}
	if _, err := commitChunks(i, before); !errors.Is(err, ErrChunksMissing) {
		t.Errorf("committed as it was before: %v, want ErrChunksMissing", err)
	}
	putChunks(t, i, after)
	if _, err := commitChunks(i, before); !errors.Is(err, ErrCounts) && !errors.Is(err, ErrChunksMissing) {
		t.Errorf("committed as it was before: %v, want a refusal", err)
	}
	if _, err := commitChunks(i, after); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(after...)
	slices.Sort(want)
	wantContent(t, s, "a", want, before[6])
}

// A file that holds less than when it was staged is loaded as it is now, even one that holds nothing any more.
func TestShorterFileDropsWhatIsStagedBehindIt(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	chunks := inChunks(registryNumbers(1000))
	stop(t, s, h, chunks)
	i := resume(t, s, h)
	if _, err := i.Commit(context.Background(), Commit{Chunks: 3, Read: 300}, silent); !errors.Is(err, ErrChunksMissing) {
		t.Errorf("without a digest: %v, want ErrChunksMissing", err)
	}
	if r, err := commitChunks(i, chunks[:3]); err != nil || r.Accepted != 300 {
		t.Fatalf("%+v (%v), want 300 numbers", r, err)
	}
	wantContent(t, s, "a", slices.Concat(chunks[:3]...), slices.Concat(chunks[3:]...))
	stop(t, s, h, chunks)
	i = resume(t, s, h)
	r, err := commitChunks(i, nil)
	if err != nil || !r.Refused || r.Accepted != 0 || r.Read != 0 {
		t.Errorf("nothing any more: %+v (%v), want a refusal", r, err)
	}
	wantContent(t, s, "a", slices.Concat(chunks[:3]...), slices.Concat(chunks[3:]...))
}

func TestCommitIsOfTheChunksThatAreStaged(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	i := begin(t, s, header("a", Replace))
	chunks := inChunks(registryNumbers(200))
	putChunks(t, i, chunks)
	c := Commit{Chunks: 2, Read: 200, Digest: digestOf([][]uint64{chunks[1], chunks[0]})}
	if _, err := i.Commit(context.Background(), c, silent); !errors.Is(err, ErrChunksMissing) {
		t.Errorf("chunks in another order: %v, want ErrChunksMissing", err)
	}
	if _, err := commitChunks(i, chunks); err != nil {
		t.Error(err)
	}
}

func TestResumeFindsItsOwnImportAlone(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	createList(t, s, "b", usRegistry())
	h := header("a", Replace)
	h.SnapshotDate, h.Files = policy.DateOf(time.Now()), []string{"1.txt", "2.txt"}
	stop(t, s, h, inChunks(registryNumbers(200)))
	for name, change := range map[string]func(*Header){
		"list":  func(h *Header) { h.List = "b" },
		"mode":  func(h *Header) { h.Mode = Add },
		"date":  func(h *Header) { h.SnapshotDate++ },
		"files": func(h *Header) { h.Files = []string{"2.txt", "1.txt"} },
	} {
		other := h
		change(&other)
		if i := resume(t, s, other); i.LastChunk() != 0 {
			t.Errorf("another %s: goes on at chunk %d", name, i.LastChunk())
		}
	}
	later := stop(t, s, h, inChunks(registryNumbers(300)))
	past := time.Now().Add(-time.Minute)
	for _, path := range []string{stagePath(s, later), filepath.Join(stagePath(s, later), chunksFile)} {
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	if got := resume(t, s, h).LastChunk(); got != 2 {
		t.Errorf("goes on at chunk %d, want 2, of the import last used", got)
	}
	if got := resume(t, s, h).LastChunk(); got != 3 {
		t.Errorf("while that is open: goes on at chunk %d, want 3, of the other one", got)
	}
}

// An import that another client sends stays its own; one whose commit is at work is waited for.
func TestResumeLeavesAnOpenImportAlone(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	chunks := inChunks(registryNumbers(200))
	first := begin(t, s, h)
	putChunks(t, first, chunks)
	second := resume(t, s, h)
	if second.LastChunk() != 0 || second.ID() == first.ID() {
		t.Errorf("beside an open import: goes on at chunk %d, want a new one", second.LastChunk())
	}
	second.Close()
	if err := os.RemoveAll(second.dir); err != nil {
		t.Fatal(err)
	}

	s.locks.MarkCommitting(first.ID())
	found := make(chan uint64)
	go func() {
		i, err := s.ResumeImport(context.Background(), h)
		if err != nil {
			t.Error(err)
			close(found)
			return
		}
		defer i.Close()
		found <- i.LastChunk()
	}()
	select {
	case last := <-found:
		t.Errorf("while the commit is at work: goes on at chunk %d, want a wait", last)
	case <-time.After(resumePatience + 200*time.Millisecond):
	}
	first.Close()
	if got := <-found; got != 2 {
		t.Errorf("after the commit broke: goes on at chunk %d, want 2", got)
	}

	h.Files = []string{"other.txt"}
	s.locks.MarkCommitting(begin(t, s, h).ID())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.ResumeImport(ctx, h); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("at the end of its time: %v, want the context's error", err)
	}
}

// A client that was killed after its commit finds the load again: it is joined, and not loaded twice.
func TestResumeJoinsTheLoadThatIsWritten(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, registryNumbers(100), Commit{})
	h := header("a", Replace)
	chunks := [][]uint64{registryNumbers(30_000)}
	stopped, release := loadUntilWriting(t, s, h, chunks[0], Commit{Chunks: 1, Read: 30_000, Digest: digestOf(chunks)})
	release = sync.OnceFunc(release)
	defer release() // a store whose committer is held does not close
	i := resume(t, s, h)
	if !i.Committed() || i.ID() != stopped.ImportID || len(i.ChunkHashes()) != 0 {
		t.Errorf("committed %v, want the load that is written", i.Committed())
	}
	if _, err := commitChunks(i, inChunks(registryNumbers(30_000))); !errors.Is(err, ErrImportRunning) {
		t.Errorf("other chunks: %v, want ErrImportRunning", err)
	}
	if _, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: 30_000}, silent); !errors.Is(err, ErrImportRunning) {
		t.Errorf("without a digest: %v, want ErrImportRunning", err)
	}
	other := h
	other.Files = []string{"other.txt"}
	if resume(t, s, other).Committed() {
		t.Error("the load of other files was joined")
	}
	dry := h
	dry.DryRun = true
	if resume(t, s, dry).Committed() {
		t.Error("a dry run joined a load")
	}
	release()
	if r, err := commitChunks(i, chunks); err != nil || r.Added != 29_900 || r.AlreadyLoaded {
		t.Errorf("%+v (%v), want the result of the load", r, err)
	}
	wantImports(t, s, 2)
}

// The chunks with rejects of a load that is joined are named, so that they can be sent, and told, again.
func TestJoinedLoadNamesItsChunksWithRejects(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	i := begin(t, s, h)
	chunks := inChunks(registryNumbers(300))
	putChunks(t, i, chunks[:1])
	c := hashed(2, chunks[1])
	c.Rejected = 3
	if err := i.Put(c); err != nil {
		t.Fatal(err)
	}
	if err := i.Put(hashed(3, chunks[2])); err != nil {
		t.Fatal(err)
	}
	prepareStaged(t, s, i, Commit{Chunks: 3, Read: 303, Rejected: 3, Digest: digestOf(chunks)})
	i.Close()
	byID := h
	byID.ImportID = i.ID()
	for name, joined := range map[string]*Import{"by its files": resume(t, s, h), "by its id": begin(t, s, byID)} {
		if got := joined.ChunksWithRejects(); !joined.Committed() || !slices.Equal(got, []uint64{2}) {
			t.Errorf("%s: committed %v, chunks with rejects %v, want 2", name, joined.Committed(), got)
		}
	}
	if err := os.RemoveAll(stagePath(s, i.ID())); err != nil { // as at the end of the load
		t.Fatal(err)
	}
	if got := begin(t, s, byID).ChunksWithRejects(); len(got) != 0 {
		t.Errorf("without a stage: %v, want none", got)
	}
}

// Nothing tells that the files are those of the load when neither side has a digest.
func TestLoadIsNotJoinedWithoutADigest(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	i := begin(t, s, h)
	putChunks(t, i, [][]uint64{registryNumbers(3000)})
	prepareStaged(t, s, i, Commit{Chunks: 1, Read: 3000})
	i.Close()
	joined := resume(t, s, h)
	if !joined.Committed() {
		t.Fatal("the load was not joined")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // nobody writes the load
	defer cancel()
	if _, err := joined.Commit(ctx, Commit{Chunks: 1, Read: 3000}, silent); !errors.Is(err, ErrImportRunning) {
		t.Errorf("commit: %v, want ErrImportRunning", err)
	}
}

// A prepared load that does not end is abandoned by one that takes over: its chunks need not be sent again.
func TestTakeOverGoesOnWithTheStageOfTheLoad(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	chunks := [][]uint64{registryNumbers(3000)}
	stuck := begin(t, s, h)
	putChunks(t, stuck, chunks)
	prepared := prepareStaged(t, s, stuck, Commit{Chunks: 1, Read: 3000, Digest: digestOf(chunks)})
	stuck.Close()
	h.TakeOver = true
	i := resume(t, s, h)
	if i.Committed() || i.LastChunk() != 1 || i.ID() == stuck.ID() {
		t.Errorf("committed %v, chunk %d, want the stage of the load under another id", i.Committed(), i.LastChunk())
	}
	r, err := commitChunks(i, chunks)
	if err != nil || r.Added != 3000 {
		t.Fatalf("%+v (%v), want 3000 numbers", r, err)
	}
	if e, err := s.View().importAt(i.list, prepared); err != nil || e.State != ImportAbandoned {
		t.Errorf("the load before: %+v (%v), want abandoned", e, err)
	}
	wantContent(t, s, "a", chunks[0], nil)
}

// prepareStaged takes what is staged as far as the prepared event, and returns its revision.
func prepareStaged(t testing.TB, s *Store, i *Import, c Commit) uint64 {
	t.Helper()
	ctx := context.Background()
	owned, release, err := s.locks.LockList(ctx, i.list)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	staged, err := s.sortContent(ctx, i.list, i.log, i.dir)
	if err != nil {
		t.Fatal(err)
	}
	p, err := i.prepare(ctx, owned, &c, staged, silent)
	if err != nil || p.done {
		t.Fatalf("prepare: %+v, %v", p, err)
	}
	return p.revision
}

// A load that waits for room on the disk, with its caller, is abandoned by one that takes over: it is not waited for.
func TestTakeOverDoesNotWaitForTheLoadItAbandons(t *testing.T) {
	t.Parallel()
	s := openWith(t, t.TempDir(), Options{MinFree: 1, Ballast: -1})
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, registryNumbers(100), Commit{})
	h := header("a", Replace)
	stuck := begin(t, s, h)
	putChunks(t, stuck, [][]uint64{registryNumbers(3000)})
	writing, ended := make(chan struct{}), make(chan error, 1)
	full := sync.OnceFunc(func() { fixSpace(s, 0); close(writing) })
	go func() {
		_, err := stuck.Commit(context.Background(), Commit{Chunks: 1, Read: 3000}, func(p Progress) {
			if p.Phase == PhaseWriting {
				full()
			}
		})
		ended <- errors.Join(err, stuck.Close())
	}()
	<-writing
	fixSpace(s, 100) // for the chunk below, and not for a block
	h.TakeOver = true
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	i, err := s.ResumeImport(ctx, h)
	if err != nil {
		s.locks.Interrupt(stuck.list) // the store does not close before
		t.Fatal("take over:", err)
	}
	defer i.Close()
	chunks := [][]uint64{registryNumbers(10)}
	putChunks(t, i, chunks)
	if _, err := commitChunks(i, chunks); !errors.Is(err, ErrDiskFull) {
		t.Errorf("take over on a full disk: %v, want ErrDiskFull", err)
	}
	if err := <-ended; !errors.Is(err, ErrTakenOver) {
		t.Errorf("the load that was taken over: %v, want ErrTakenOver", err)
	}
	fixSpace(s, 1<<30)
	if r, err := commitChunks(i, chunks); err != nil || r.Removed != 90 {
		t.Errorf("%+v (%v), want 90 numbers removed", r, err)
	}
	wantContent(t, s, "a", chunks[0], nil)
}

// One that is compared when another takes over comes to its end before it is prepared.
func TestTakeOverOfALoadThatIsCompared(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, registryNumbers(100), Commit{})
	i := begin(t, s, header("a", Replace))
	defer i.Close()
	chunks := [][]uint64{registryNumbers(99)}
	putChunks(t, i, chunks)
	_, err := i.Commit(t.Context(), Commit{Chunks: 1, Read: 99}, func(Progress) { s.locks.Interrupt(i.list) })
	if !errors.Is(err, ErrTakenOver) || listOf(t, s, "a").Pending != 0 {
		t.Errorf("got %v, want ErrTakenOver and nothing prepared", err)
	}
}

// A dry run stages its own chunks: what it drops in the end is not the stage of an import that stopped.
func TestDryRunLeavesAStoppedImportAlone(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	chunks := inChunks(registryNumbers(300))
	stop(t, s, h, chunks)
	dry := h
	dry.DryRun = true
	i := resume(t, s, dry)
	putChunks(t, i, chunks[:1])
	if r, err := commitChunks(i, chunks[:1]); err != nil || !r.DryRun || r.Added != 100 {
		t.Errorf("dry run: %+v (%v), want 100 numbers", r, err)
	}
	if got := resume(t, s, h).LastChunk(); got != 3 {
		t.Errorf("after a dry run the import goes on at chunk %d, want 3", got)
	}
}

// What a load left in the stage that was finished after a restart is no import to go on with.
func TestLoadFinishedAfterARestartIsNotResumed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	i := begin(t, s, h)
	putChunks(t, i, [][]uint64{registryNumbers(3000)})
	prepareStaged(t, s, i, Commit{Chunks: 1, Read: 3000})
	closeStore(t, s)
	s = open(t, dir)
	awaitIdle(t, s, "a")
	if got := resume(t, s, h); got.LastChunk() != 0 || got.Committed() {
		t.Errorf("goes on at chunk %d, committed %v, want a new import", got.LastChunk(), got.Committed())
	}
	if _, err := os.Stat(stagePath(s, i.ID())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stage of a finished load: %v, want it gone", err)
	}
}

func TestStageInUseOutlivesItsTime(t *testing.T) {
	t.Parallel()
	s := openWith(t, t.TempDir(), Options{MinFree: -1, StageTTL: time.Hour})
	createList(t, s, "a", usRegistry())
	chunks := inChunks(registryNumbers(200))
	withFile := func(name string) Header {
		h := header("a", Replace)
		h.Files = []string{name}
		return h
	}
	age := func(path string) {
		past := time.Now().Add(-2 * time.Hour)
		if err := os.Chtimes(path, past, past); err != nil {
			t.Fatal(err)
		}
	}
	left, sent, resumed := withFile("left"), withFile("sent"), withFile("resumed")
	stages := map[string]string{}
	for _, h := range []Header{left, sent, resumed} {
		id := stop(t, s, h, chunks)
		age(filepath.Join(stagePath(s, id), chunksFile))
		age(stagePath(s, id))
		stages[h.Files[0]] = id
	}
	now := time.Now()
	if err := os.Chtimes(filepath.Join(stagePath(s, stages["sent"]), chunksFile), now, now); err != nil { // as a chunk does
		t.Fatal(err)
	}
	i := resume(t, s, resumed)
	age(filepath.Join(i.dir, chunksFile))
	held := begin(t, s, withFile("held"))
	age(held.dir)
	age(filepath.Join(held.dir, chunksFile))
	i.log.Close() // as a server that is killed
	s.locks.Release(i.ID())
	s.sweepStage(0)
	for name, want := range map[string]bool{stages["left"]: false, stages["sent"]: true, i.ID(): true, held.ID(): true} {
		if _, err := os.Stat(stagePath(s, name)); (err == nil) != want {
			t.Errorf("%s of %v: %v, want it there: %v", name, stages, err, want)
		}
	}
}

// stagePath is the stage of the import of a list with that id.
func stagePath(s *Store, id string) string { return filepath.Join(s.dir, stageDir, id) }
