package stage

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/dncd/dncd/internal/chunkhash"
)

// registryNumbers are ascending numbers of an area.
func registryNumbers(n int) []uint64 {
	numbers := make([]uint64, n)
	for i := range numbers {
		numbers[i] = 12_012_000_000 + uint64(i)*13
	}
	return numbers
}

func openLog(t testing.TB, path string) *Log[Chunk] {
	t.Helper()
	log, err := Continue(path, NewNumbers())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

func appendChunk(t testing.TB, log *Log[Chunk], c Chunk) {
	t.Helper()
	if err := log.Append(c); err != nil {
		t.Fatal(err)
	}
}

// A file that cannot be read is not one that ends.
func TestLogThatCannotBeReadIsNotCut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "chunks")
	log := openLog(t, path)
	appendChunk(t, log, Chunk{Seq: 1, Numbers: registryNumbers(100)})
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, readable := range []int64{0, 1, frameHeader, frameHeader + 1, log.Size} {
		broken := io.MultiReader(bytes.NewReader(b[:readable]), iotest.ErrReader(syscall.EIO))
		if err := newLog(nil, NewNumbers()).count(broken); !errors.Is(err, syscall.EIO) {
			t.Errorf("a log that cannot be read from byte %d on: %v, want EIO", readable, err)
		}
		if err := newLog(nil, NewNumbers()).count(bytes.NewReader(b[:readable])); err != nil {
			t.Errorf("a log that ends at byte %d: %v", readable, err)
		}
	}
}

// frameOf is a chunk as a log has it.
func frameOf(t testing.TB, c Chunk) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "chunks")
	appendChunk(t, openLog(t, path), c)
	frame, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// FuzzChunkLog opens logs that were written by somebody else: what it takes for chunks reads the same ever after.
func FuzzChunkLog(f *testing.F) {
	var log []byte
	for k, numbers := range slices.Collect(slices.Chunk(registryNumbers(250), 100)) {
		log = append(log, frameOf(f, Chunk{Seq: uint64(k) + 1, Hash: chunkhash.Of(nil, numbers, nil, nil), Numbers: numbers})...)
	}
	f.Add(log)
	f.Add(log[:len(log)-1])
	f.Add(append(slices.Clone(log), log...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := NewNumbers().Decode(b); err == nil && !slices.IsSorted(c.Numbers) {
			t.Errorf("a frame with %d numbers that are not ascending", len(c.Numbers))
		}
		path := filepath.Join(t.TempDir(), "chunks")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		first, second := openLog(t, path), openLog(t, path)
		if !slices.Equal(first.states, second.states) || first.State != second.State {
			t.Errorf("%+v, opened again %+v", first.State, second.State)
		}
		entries := uint64(0)
		for c, err := range second.Chunks() {
			if err != nil {
				t.Fatal(err)
			}
			entries += uint64(len(c.Numbers))
		}
		if entries != first.Entries {
			t.Errorf("%d numbers, counted %d", entries, first.Entries)
		}
	})
}
