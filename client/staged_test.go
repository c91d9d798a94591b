package client

import (
	"testing"

	"github.com/dncd/dncd/internal/chunkhash"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

func TestHeldSaysWhatNeedNotBeSent(t *testing.T) {
	t.Parallel()
	chunks := make([]*chunk, 6)
	var hashes []chunkhash.Hash
	for i := range chunks {
		frame := &dncv1.ImportChunk{Seq: uint64(i) + 1, Add: &dncv1.NumberSet{Ascending: []byte{byte(i)}}}
		chunks[i] = &chunk{frame: frame, hash: hashOf(frame)}
		hashes = append(hashes, chunks[i].hash)
	}
	staged := &dncv1.ImportOpened{LastChunk: 5, ChunkHashes: chunkhash.Join(hashes[:5]), RejectedChunks: []uint64{2}}
	changed := *chunks[3]
	changed.hash = hashes[0]
	for _, tt := range []struct {
		name   string
		opened *dncv1.ImportOpened
		chunks []*chunk
		want   string // of each chunk: s is sent, r is sent for its rejects, . is not sent
	}{
		{"nothing staged", &dncv1.ImportOpened{}, chunks, "ssssss"},
		{"staged in part", staged, chunks, ".r...s"},
		{"changed", staged, []*chunk{chunks[0], chunks[1], chunks[2], &changed, chunks[4], chunks[5]}, ".r.sss"},
		{"committed", &dncv1.ImportOpened{Committed: true}, chunks, "......"},
		{"committed with rejects", &dncv1.ImportOpened{Committed: true, RejectedChunks: []uint64{2, 6}}, chunks, ".r...r"},
	} {
		held, got := newStagedChunks(tt.opened), ""
		for _, c := range tt.chunks {
			switch holds, canSkip := held.holds(c), held.canSkip(c); {
			case canSkip:
				got += "."
			case holds:
				got += "r"
			default:
				got += "s"
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
