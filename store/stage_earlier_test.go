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

// The rows that it staged: two chunks of an opt-out each, with the second row of each refused. Their hashes were not kept.
const earlierRows = "35000000130aab4c0101010a1b09948dbc4b03000000120461636d651802208080dcdffdaac2e81812100a044c796f6e1203742d3122036f70731a0101" +
	"35000000006e595d0201010a1b09958dbc4b03000000120461636d651802208080dcdffdaac2e81812100a044c796f6e1203742d3122036f70731a0101"

// TestRowsOfAnEarlierBuildAreRecorded has committed rows recorded after an upgrade, and staged ones gone on with.
func TestRowsOfAnEarlierBuildAreRecorded(t *testing.T) {
	t.Parallel()
	staged, err := hex.DecodeString(earlierRows)
	if err != nil {
		t.Fatal(err)
	}
	for _, committed := range []bool{true, false} {
		s := open(t, t.TempDir())
		dir := filepath.Join(s.dir, recordStageDir, "0123456789abcdef01234567")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, rowsFile), staged, 0o600); err != nil {
			t.Fatal(err)
		}
		if committed {
			order := `{"Chunks":2,"Read":4,"Rejected":2,"Empty":0,"FileRows":0,"Rejects":null,"Sources":null,"CutFiles":0,"Rows":2,"GuardFailures":null,` +
				`"Story":{},"Started":"2026-11-29T12:00:00Z","Revision":0}`
			if err := os.WriteFile(filepath.Join(dir, commitFile), []byte(order), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		i, err := s.BeginRecords(RecordsHeader{ImportID: "0123456789abcdef01234567", MaxRejects: 1})
		if err != nil {
			t.Fatal(err)
		}
		if want := uint64(2); i.Committed() != committed || !committed && i.LastChunk() != want {
			t.Errorf("committed %v, last chunk %d, want %v and %d", i.Committed(), i.LastChunk(), committed, want)
		}
		r, err := i.Commit(context.Background(), RecordsCommit{Chunks: 2, Read: 4}, noProgress)
		if err != nil || r.Accepted != 2 || r.Rejected != 2 {
			t.Errorf("committed %v: %+v (%v), want 2 accepted and 2 rejected", committed, r, err)
		}
		i.Close()
		got := held(t, s)
		if len(got) != 2 || got[0].Records[0].Story.Desk != "Lyon" || got[0].Records[0].Scope != "acme" {
			t.Errorf("committed %v: recorded %+v", committed, got)
		}
	}
}

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
