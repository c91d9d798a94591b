package store

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dncd/dncd/store/internal/stage"
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
	fixSpace(s, 2*i.log.Size-1)
	if _, err := i.Commit(context.Background(), c, silent); !errors.Is(err, ErrDiskFull) {
		t.Errorf("no room to sort: %v, want ErrDiskFull", err)
	}
	files, err := os.ReadDir(filepath.Join(s.dir, stageDir))
	if err != nil || len(files) != 1 || strings.HasSuffix(files[0].Name(), ".numbers") {
		t.Errorf("%v (%v), want the chunks and nothing sorted", files, err)
	}
	fixSpace(s, 2*i.log.Size)
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
	first := i.log.Size
	put(t, i, 2, numbers[500:]...)
	if err := os.Truncate(filepath.Join(i.dir, chunksFile), first); err != nil {
		t.Fatal(err)
	}
	_, err := i.Commit(context.Background(), Commit{Chunks: 2, Read: 1000}, silent)
	if !errors.Is(err, ErrStage) {
		t.Errorf("a load without its last chunk: %v, want ErrStage", err)
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
	if _, err := stage.Continue(path, listStages.codec()); !errors.Is(err, syscall.EIO) {
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
