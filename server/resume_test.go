package server_test

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/chunkhash"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

func chunkHashes(chunks [][]uint64) []chunkhash.Hash {
	var hashes []chunkhash.Hash
	for _, c := range chunks {
		hashes = append(hashes, chunkhash.Of(ascending(c), nil, nil, nil))
	}
	return hashes
}

func TestImportOfABrokenClientGoesOn(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	header := &dncv1.ImportHeader{
		List: "mine", Sources: []*dncv1.ImportSource{{Name: "a.txt"}}, Guards: &dncv1.ImportGuards{MaxRejectRatio: proto.Float64(0.5)}, Resume: true,
	}
	all := numbers(400)
	chunks := [][]uint64{all[:100], append([]uint64{1}, all[100:200]...), all[200:300], all[300:]}
	broken, err := n.load(upload{header: header, chunks: chunks[:3]})
	if err != nil || broken.opened.GetLastChunk() != 0 {
		t.Fatal(broken.opened, err)
	}
	again, err := n.load(upload{header: header})
	if err != nil {
		t.Fatal(err)
	}
	o := again.opened
	if o.GetLastChunk() != 3 || !bytes.Equal(o.GetChunkHashes(), chunkhash.Join(chunkHashes(chunks[:3]))) || !slices.Equal(o.GetRejectedChunks(), []uint64{2}) ||
		o.GetImportId() == broken.opened.GetImportId() {
		t.Errorf("got %v, want three chunks, the second with rejects, under another id", o)
	}
	_, err = n.load(upload{header: &dncv1.ImportHeader{List: "mine", Sources: header.GetSources(), ImportId: broken.opened.GetImportId()}})
	wantReason(t, err, codes.NotFound, "IMPORT_NOT_FOUND")

	goOn := proto.CloneOf(header)
	goOn.ImportId = o.GetImportId() // takes precedence over resume
	commit := commitOf(4, 401)
	commit.ChunksDigest = chunkhash.Digest(chunkHashes([][]uint64{chunks[0], chunks[2], chunks[1], chunks[3]}))
	_, err = n.load(upload{header: goOn, chunks: chunks, commit: commit})
	wantReason(t, err, codes.FailedPrecondition, "CHUNK_OUT_OF_ORDER")
	commit.ChunksDigest = chunkhash.Digest(chunkHashes(chunks))
	got, err := n.load(upload{header: goOn, chunks: chunks, commit: commit})
	if err != nil || got.opened.GetImportId() != o.GetImportId() || got.result.GetAccepted() != 400 || got.result.GetRejected() != 1 {
		t.Errorf("got %v and %v", got, err)
	}
	if once, err := n.load(upload{header: header}); err != nil || once.opened.GetLastChunk() != 0 {
		t.Errorf("after its end: got %v and %v, want a new import", once.opened, err)
	}
}

// A chunk that is sent again reports its rejects again, and changes nothing. One with other content drops all chunks
// behind it.
func TestChunkThatIsSentAgain(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	all := numbers(300)
	header := &dncv1.ImportHeader{List: "mine", Resume: true}
	if _, err := n.load(upload{header: header, chunks: [][]uint64{append([]uint64{1}, all[:100]...), all[100:200], all[200:]}}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		seq     uint64
		numbers []uint64
		rejects int
		last    uint64
	}{
		{1, append([]uint64{1}, all[:100]...), 1, 3},
		{3, all[200:], 0, 3},
		{2, all[150:200], 0, 2},
		{2, all[150:200], 0, 2},
		{1, all[:100], 0, 1},
	} {
		stream, err := n.list.Import(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: header}})
		send(stream, chunkRequest(step.seq, step.numbers))
		stream.CloseSend()
		var ack *dncv1.ImportAck
		for resp, err := stream.Recv(); err == nil; resp, err = stream.Recv() {
			if resp.GetAck() != nil {
				ack = resp.GetAck()
			}
		}
		if ack.GetSeq() != step.seq || len(ack.GetRejects()) != step.rejects {
			t.Errorf("chunk %d: got %v, want %d rejects", step.seq, ack, step.rejects)
		}
		if after, err := n.load(upload{header: header}); err != nil || after.opened.GetLastChunk() != step.last {
			t.Errorf("chunk %d: then %d chunks (%v), want %d", step.seq, after.opened.GetLastChunk(), err, step.last)
		}
	}
}

func TestChunksAreCounted(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	stream, err := n.list.Import(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: "mine"}}})
	send(stream, chunkRequest(1<<20+1, numbers(1)))
	stream.CloseSend()
	for err == nil {
		_, err = stream.Recv()
	}
	wantReason(t, err, codes.InvalidArgument, "CHUNK_INVALID")
}
