package store

import (
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/chunkhash"
)

// The chunks that the build of 29 November 2026 staged: two of a list, the second with a reject.
const earlierChunks = "1a00000050127a211a7dfdeaffeedac489287e85be5e9c04010003949bf2dd3400011d00000031683da128b43396c759f38390069a4b8da70c3a020102f79bf2dd349b81d0f846"

// TestStageOfAnEarlierBuildIsContinued puts the files that an earlier build staged in place of those of an import.
func TestStageOfAnEarlierBuildIsContinued(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	h := header("a", Replace)
	i := begin(t, s, h)
	i.Close()
	staged, err := hex.DecodeString(earlierChunks)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.dir, chunksFile), staged, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(i.dir, metaFile), []byte(`{"List":{"Revision":1,"Index":0},"Mode":1,"Date":0,"Files":null}`), 0o600); err != nil {
		t.Fatal(err)
	}
	i = resume(t, s, h)
	want := []chunkhash.Hash{chunkhash.Of([]byte{0}, nil, nil, nil), chunkhash.Of([]byte{1}, nil, nil, nil)}
	if got := i.ChunkHashes(); !slices.Equal(got, want) {
		t.Fatalf("got the hashes %x, want %x", got, want)
	}
	put(t, i, 3, 14155550102)
	r, err := i.Commit(context.Background(), Commit{Chunks: 3, Read: 7}, silent)
	if err != nil || r.Accepted != 5 || r.Duplicates != 1 || r.Rejected != 1 {
		t.Fatalf("got %+v (%v), want 5 accepted, 1 duplicate, 1 rejected", r, err)
	}
	wantContent(t, s, "a", []uint64{14155550100, 14155550101, 14155550102, 14155550199, 33199001234}, nil)
}
