package store

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"
)

// fixSpace makes the store believe for good that its disk has so many bytes to give.
func fixSpace(s *Store, bytes int64) {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	s.space.free = s.space.minFree + bytes
	s.space.checked = time.Now().Add(time.Hour)
}

// A store is not ready as long as it refuses opt-outs, whoever has room for less.
func TestFullDiskIsToldUntilWritesHaveRoom(t *testing.T) {
	t.Parallel()
	s := openWith(t, t.TempDir(), Options{MinFree: 1, Ballast: -1})
	fixSpace(s, maxGroupBytes-1)
	o := OptOut{Number: fiction(415, 1)}
	if _, err := s.RecordOptOut(context.Background(), o, Request{}); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("opt-out: %v, want ErrDiskFull", err)
	}
	if err := s.checkSpace(0); err != nil || !errors.Is(s.State().Cause, ErrDiskFull) {
		t.Errorf("nothing to write: %v; state %v, want a full disk", err, s.State().Cause)
	}
	fixSpace(s, maxGroupBytes)
	if err := s.checkSpace(0); err != nil || s.State().Cause != nil {
		t.Errorf("with room: %v; state %v, want it ready", err, s.State().Cause)
	}
	if _, err := s.RecordOptOut(context.Background(), o, Request{}); err != nil {
		t.Errorf("opt-out with room: %v", err)
	}
}

func TestSortingAsksForRoom(t *testing.T) {
	t.Parallel()
	s := openWith(t, t.TempDir(), Options{MinFree: 1, Ballast: -1})
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	h.DryRun = true
	i := begin(t, s, h)
	put(t, i, 1, registryNumbers(1000)...)
	c := Commit{Chunks: 1, Read: 1000}
	fixSpace(s, 2*i.log.size-1)
	if _, err := i.Commit(context.Background(), c, silent); !errors.Is(err, ErrDiskFull) {
		t.Errorf("no room to sort: %v, want ErrDiskFull", err)
	}
	files, err := os.ReadDir(filepath.Join(s.dir, stageDir))
	if err != nil || len(files) != 1 || strings.HasSuffix(files[0].Name(), ".numbers") {
		t.Errorf("%v (%v), want the chunks and nothing sorted", files, err)
	}
	fixSpace(s, 2*i.log.size)
	if _, err := i.Commit(context.Background(), c, silent); err != nil {
		t.Error("room to sort:", err)
	}
}

// TestStagedChunkOutlivesAPowerCut copies the disk, without any sync, once a chunk was acknowledged.
func TestStagedChunkOutlivesAPowerCut(t *testing.T) {
	t.Parallel()
	needsLoopMounts(t)
	image, disk := filepath.Join(t.TempDir(), "image"), t.TempDir()
	makeImage(t, image, 192<<20)
	if err := mount(t, disk, "-o", "loop", image); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(disk, "data"))
	createList(t, s, "a", usRegistry())
	i := begin(t, s, header("a", Replace))
	put(t, i, 1, registryNumbers(1000)...)
	if err := i.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(image, image+"-cut"); err != nil {
		t.Fatal(err)
	}
	after := t.TempDir()
	if err := mount(t, after, "-o", "loop", image+"-cut"); err != nil {
		t.Fatal(err)
	}
	h := header("a", Replace)
	h.ImportID = i.ID()
	if got := begin(t, open(t, filepath.Join(after, "data")), h).LastChunk(); got != 1 {
		t.Errorf("last chunk %d, want 1", got)
	}
}

// TestSortingMissesNoChunk cuts the log where a frame ends, behind the back of the import that has it open.
func TestSortingMissesNoChunk(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	i := begin(t, s, header("a", Replace))
	numbers := registryNumbers(1000)
	put(t, i, 1, numbers[:500]...)
	put(t, i, 2, numbers[500:]...)
	if err := os.Truncate(filepath.Join(i.dir, chunksFile), i.log.states[0].size); err != nil {
		t.Fatal(err)
	}
	_, err := i.Commit(context.Background(), Commit{Chunks: 2, Read: 1000}, silent)
	if !errors.Is(err, ErrStage) {
		t.Errorf("a load without its last chunk: %v, want ErrStage", err)
	}
}

// A file that cannot be read is not one that ends.
func TestLogThatCannotBeReadIsNotCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	chunks, err := openChunkLog(filepath.Join(dir, chunksFile))
	if err != nil {
		t.Fatal(err)
	}
	defer chunks.close()
	rows, err := openRowLog(filepath.Join(dir, rowsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.close()
	if err := errors.Join(chunks.append(hashed(1, registryNumbers(100))), rows.append(RowChunk{Seq: 1, Rows: bulkRows(0, 100)})); err != nil {
		t.Fatal(err)
	}
	for name, log := range map[string]struct {
		size  int64
		count func(io.Reader) error
	}{
		chunksFile: {chunks.size, func(r io.Reader) error { return newStageLog(nil, listStages.codec()).count(r) }},
		rowsFile:   {rows.size, func(r io.Reader) error { return newStageLog(nil, recordStages.codec()).count(r) }},
	} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, readable := range []int64{0, 1, frameHeader, frameHeader + 1, log.size} {
			broken := io.MultiReader(bytes.NewReader(b[:readable]), iotest.ErrReader(syscall.EIO))
			if err := log.count(broken); !errors.Is(err, syscall.EIO) {
				t.Errorf("%s that cannot be read from byte %d on: %v, want EIO", name, readable, err)
			}
			if err := log.count(bytes.NewReader(b[:readable])); err != nil {
				t.Errorf("%s that ends at byte %d: %v", name, readable, err)
			}
		}
	}
}

// TestOpeningTellsOfAReadError opens a file that gives EIO at its first byte.
func TestOpeningTellsOfAReadError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.Symlink("/proc/self/mem", path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(path); !errors.Is(err, syscall.EIO) {
		t.Skip("no such file here:", err)
	}
	if _, err := openChunkLog(path); !errors.Is(err, syscall.EIO) {
		t.Errorf("open a chunk log: %v, want EIO", err)
	}
	if _, err := openRowLog(path); !errors.Is(err, syscall.EIO) {
		t.Errorf("open a row log: %v, want EIO", err)
	}
}

func TestLoadLeavesNothingToWarnOf(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := openWith(t, t.TempDir(), Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	createList(t, s, "a", usRegistry())
	i := begin(t, s, header("a", Replace))
	put(t, i, 1, registryNumbers(1000)...)
	if _, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: 1000}, silent); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(i.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(log.String(), "stage") {
		t.Error(log.String())
	}
}

// What is spread over the bucket file and damaged there is no number of the list.
func TestDamagedBucketIsNoContent(t *testing.T) {
	t.Parallel()
	b, err := newBuckets(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	to := &b.all[0]
	must(t, b.add(to, registryNumbers(1000)))
	must(t, b.write(to))
	var one [1]byte
	_, err = b.file.ReadAt(one[:], b.size/2)
	must(t, err)
	one[0] ^= 1
	_, err = b.file.WriteAt(one[:], b.size/2)
	must(t, err)
	if numbers, err := b.read(to, nil); !errors.Is(err, ErrStage) {
		t.Errorf("%d numbers, %v, want ErrStage", len(numbers), err)
	}
}
