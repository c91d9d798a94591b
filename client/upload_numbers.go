package client

import (
	"context"
	"io"

	"google.golang.org/grpc"

	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

type (
	importStream = grpc.BidiStreamingClient[dncv1.ImportRequest, dncv1.ImportResponse]
	listUpload   = upload[dncv1.ImportRequest, dncv1.ImportResponse, dncv1.ImportResult]
	listRPC      = importRPC[dncv1.ImportRequest, dncv1.ImportResponse, dncv1.ImportResult]
)

// numberChunks makes chunks of the numbers of an Import.
type numberChunks struct {
	request *ImportRequest
	batch   []uint64
}

// numberUpload sends the numbers of an import.
func numberUpload(c *Client, r *ImportRequest, header *dncv1.ImportHeader) *listUpload {
	return &listUpload{
		client:     c,
		rpc:        importOfNumbers(header),
		source:     &numberChunks{request: r, batch: make([]uint64, chunkNumbers)},
		sources:    header.GetSources(),
		onResume:   r.OnResume,
		onProgress: r.OnProgress,
	}
}

func importOfNumbers(header *dncv1.ImportHeader) listRPC {
	return listRPC{
		open: func(ctx context.Context, on *connection) (importStream, error) { return on.lists.Import(ctx) },
		header: func(id string, begun bool) *dncv1.ImportRequest {
			header.ImportId = id
			if begun { // the load to take over is gone: the one that holds the list now is this one, or a later one
				header.TakeOver = false
			}
			return &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: header}}
		},
		chunk: chunkFrame,
		commit: func(c *dncv1.ImportCommit) *dncv1.ImportRequest {
			return &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Commit{Commit: c}}
		},
		answer: func(r *dncv1.ImportResponse) importAnswer[dncv1.ImportResult] { return r },
	}
}

func chunkFrame(c *dncv1.ImportChunk) *dncv1.ImportRequest {
	return &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Chunk{Chunk: c}}
}

// fill implements uploadSource: a whole chunk of numbers.
func (n *numberChunks) fill() (*dncv1.ImportChunk, int, error) {
	if n.request.Mode == ModeDelta {
		return n.fillChanges()
	}
	count := 0
	for count < len(n.batch) {
		got, err := n.request.Numbers.Next(n.batch[count:])
		count += got
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, 0, err
		}
	}
	return &dncv1.ImportChunk{Add: numberSet(n.batch[:count])}, count, nil
}

// fillChanges is fill for numbers that come and go: half a chunk for each.
func (n *numberChunks) fillChanges() (*dncv1.ImportChunk, int, error) {
	half := len(n.batch) / 2
	add, remove := n.batch[:half], n.batch[half:]
	added, removed, err := n.request.Numbers.(ChangeSource).NextChanges(add, remove)
	if err != nil && err != io.EOF {
		return nil, 0, err
	}
	return &dncv1.ImportChunk{
		Add:    numberSet(add[:added]),
		Remove: numberSet(remove[:removed]),
	}, added + removed, nil
}

func numberSet(numbers []uint64) *dncv1.NumberSet {
	return &dncv1.NumberSet{Ascending: encodeAscending(numbers)}
}

// summary implements uploadSource.
func (n *numberChunks) summary() SourceSummary { return n.request.Numbers.Summary() }

// acked implements uploadSource: it reports the numbers that the server rejects.
func (n *numberChunks) acked(c *chunk, a *dncv1.ImportAck) {
	if n.request.OnReject == nil || len(a.GetRejects()) == 0 {
		return
	}
	numbers, err := decodeAscending(c.frame.GetAdd().GetAscending())
	removed, failed := decodeAscending(c.frame.GetRemove().GetAscending())
	if err != nil || failed != nil {
		return
	}
	numbers = append(numbers, removed...)
	for _, r := range a.GetRejects() {
		if int(r.GetIndex()) < len(numbers) {
			e := fromItem(r.GetError())
			n.request.OnReject(ImportReject{phone.Number(numbers[r.GetIndex()]).E164(), e.Reason, e.Message})
		}
	}
}
