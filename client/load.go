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

// load is the numbers of an Import on their way.
type load struct {
	request *ImportRequest
	batch   []uint64
}

// numberUpload sends the numbers of an import.
func numberUpload(c *Client, r *ImportRequest, header *dncv1.ImportHeader) *listUpload {
	return &listUpload{
		client:  c,
		rpc:     importOfNumbers(header),
		source:  &load{request: r, batch: make([]uint64, chunkNumbers)},
		sources: header.GetSources(),
	}
}

func importOfNumbers(header *dncv1.ImportHeader) listRPC {
	return listRPC{
		open: func(ctx context.Context, on *connection) (importStream, error) { return on.lists.Import(ctx) },
		header: func(id string, begun bool) *dncv1.ImportRequest {
			header.ImportId = id
			if begun { // what there was to take over is gone: what holds the list now is this load, or a later one
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
func (l *load) fill() (*dncv1.ImportChunk, int, error) {
	if l.request.Mode == ModeDelta {
		return l.fillChanges()
	}
	n := 0
	for n < len(l.batch) {
		got, err := l.request.Numbers.Next(l.batch[n:])
		n += got
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, 0, err
		}
	}
	return &dncv1.ImportChunk{Add: numberSet(l.batch[:n])}, n, nil
}

// fillChanges is fill for numbers that come and go: half a chunk for each.
func (l *load) fillChanges() (*dncv1.ImportChunk, int, error) {
	half := len(l.batch) / 2
	add, remove := l.batch[:half], l.batch[half:]
	added, removed, err := l.request.Numbers.(ChangeSource).NextChanges(add, remove)
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
func (l *load) summary() SourceSummary { return l.request.Numbers.Summary() }

// said implements uploadSource: it reports the numbers that the server rejects.
func (l *load) said(c *chunk, a *dncv1.ImportAck) {
	if l.request.OnReject == nil || len(a.GetRejects()) == 0 {
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
			l.request.OnReject(ImportReject{phone.Number(numbers[r.GetIndex()]).E164(), e.Reason, e.Message})
		}
	}
}

// resumed implements uploadSource.
func (l *load) resumed(entries uint64) {
	if l.request.OnResume != nil {
		l.request.OnResume(entries)
	}
}

// progress implements uploadSource.
func (l *load) progress(p Progress) {
	if l.request.OnProgress != nil {
		l.request.OnProgress(p)
	}
}
