package stage

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/chunkhash"
)

func TestCutGoesBackToWhatWasThere(t *testing.T) {
	t.Parallel()
	c := openLog(t, filepath.Join(t.TempDir(), "chunks"))
	var states []State
	for k, numbers := range [][]uint64{{5, 9}, {9}, {}, {3, 4}, {20}} {
		states = append(states, c.State)
		chunk := Chunk{Seq: uint64(k) + 1, Hash: chunkhash.Of(nil, numbers, nil, nil), Numbers: numbers}
		chunk.Rejected = uint64(k % 2)
		appendChunk(t, c, chunk)
	}
	if diff := cmp.Diff([]uint64{2, 4}, c.Noted()); diff != "" {
		t.Errorf("chunks with rejects (-want +got)\n%s", diff)
	}
	for last := range slices.Backward(states) {
		if err := c.Cut(uint64(last)); err != nil {
			t.Fatal(err)
		}
		info, err := c.f.Stat()
		if c.State != states[last] || len(c.Hashes()) != last || err != nil || info.Size() != c.Size {
			t.Errorf("cut behind chunk %d: %+v, want %+v", last, c.State, states[last])
		}
	}
}
