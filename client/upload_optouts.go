package client

import (
	"context"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	// optOutRows and optOutBytes bound a chunk of rows, below the contract's 10,000 and 512 KiB.
	optOutRows = 4000
	// The last row may go beyond by less than 64 KiB.
	optOutBytes = 400 << 10
	rowOverhead = 8 // of a row within a chunk
)

type (
	recordStream = grpc.BidiStreamingClient[dncv1.ImportRecordsRequest, dncv1.ImportRecordsResponse]
	recordUpload = upload[dncv1.ImportRecordsRequest, dncv1.ImportRecordsResponse, dncv1.ImportRecordsResult]
	recordRPC    = importRPC[dncv1.ImportRecordsRequest, dncv1.ImportRecordsResponse, dncv1.ImportRecordsResult]
)

// rowSource yields the rows of an import, as they are sent.
type rowSource interface {
	// next is the next row; nil after the last.
	next() (*dncv1.RecordRow, error)
	Summary() SourceSummary
}

// rowsOf reads rows from what yields opt-outs or consents.
type rowsOf[T any] struct {
	source interface {
		Next(batch []T) (int, error)
		Summary() SourceSummary
	}
	toRow func(*T) *dncv1.RecordRow
	batch []T  // read and not yet sent
	room  []T  // what batch lies in
	ended bool // the source has no more
}

// next implements rowSource.
func (r *rowsOf[T]) next() (*dncv1.RecordRow, error) {
	if len(r.batch) == 0 && !r.ended {
		if r.room == nil {
			r.room = make([]T, 1000)
		}
		n, err := r.source.Next(r.room)
		r.batch, r.ended = r.room[:n], err == io.EOF
		if err != nil && !r.ended {
			return nil, err
		}
	}
	if len(r.batch) == 0 {
		return nil, nil
	}
	row := r.toRow(&r.batch[0])
	r.batch = r.batch[1:]
	return row, nil
}

// Summary implements rowSource.
func (r *rowsOf[T]) Summary() SourceSummary { return r.source.Summary() }

// rowCalls are the functions of a caller that an import of rows calls.
type rowCalls struct {
	onResume           func(rows uint64)
	onProgress         func(Progress)
	onReject, onRemark func(OptOutReject)
}

// rowChunks makes chunks of the rows of an import.
type rowChunks struct {
	source rowSource
	calls  rowCalls
	rows   uint64   // put in chunks
	starts []uint64 // the first row of each chunk
}

// importRows sends the rows of an import.
func (c *Client) importRows(ctx context.Context, source rowSource, calls rowCalls, header *dncv1.ImportRecordsHeader) (ImportOptOutsResult, error) {
	rows := &rowChunks{source: source, calls: calls}
	upload := recordUpload{
		client:     c,
		rpc:        importOfRows(header),
		source:     rows,
		sources:    header.GetSources(),
		onResume:   calls.onResume,
		onProgress: calls.onProgress,
	}
	result, err := upload.run(ctx)
	if err != nil {
		return ImportOptOutsResult{}, err
	}
	rows.reportLate(result.GetRejects())
	return fromRecordsResult(result), nil
}

func importOfRows(header *dncv1.ImportRecordsHeader) recordRPC {
	return recordRPC{
		open: func(ctx context.Context, on *connection) (recordStream, error) { return on.records.ImportRecords(ctx) },
		header: func(id string, _ bool) *dncv1.ImportRecordsRequest {
			header.ImportId = id
			return &dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: header}}
		},
		chunk: func(c *dncv1.ImportChunk) *dncv1.ImportRecordsRequest {
			return &dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Chunk{Chunk: c}}
		},
		commit: func(c *dncv1.ImportCommit) *dncv1.ImportRecordsRequest {
			return &dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Commit{Commit: c}}
		},
		answer: func(r *dncv1.ImportRecordsResponse) importAnswer[dncv1.ImportRecordsResult] { return r },
	}
}

// fill implements uploadSource.
func (r *rowChunks) fill() (*dncv1.ImportChunk, int, error) {
	rows, err := r.fillRows()
	if err != nil || len(rows) == 0 {
		return nil, 0, err
	}
	r.starts = append(r.starts, r.rows)
	r.rows += uint64(len(rows))
	return &dncv1.ImportChunk{Rows: rows}, len(rows), nil
}

// fillRows makes the rows of a chunk; none at the source's end.
func (r *rowChunks) fillRows() ([]*dncv1.RecordRow, error) {
	rows := make([]*dncv1.RecordRow, 0, optOutRows)
	for size := 0; len(rows) < optOutRows && size < optOutBytes; {
		row, err := r.source.next()
		if err != nil || row == nil {
			return rows, err
		}
		rows = append(rows, row)
		size += proto.Size(row) + rowOverhead
	}
	return rows, nil
}

// summary implements uploadSource. Records cover no prefixes.
func (r *rowChunks) summary() SourceSummary {
	sum := r.source.Summary()
	sum.Coverage, sum.Inferred = nil, nil
	return sum
}

// acked implements uploadSource: it reports the rows that the server rejects, or has remarks about.
func (r *rowChunks) acked(c *chunk, a *dncv1.ImportAck) {
	report(r.calls.onReject, c, a.GetRejects())
	report(r.calls.onRemark, c, a.GetRemarks())
}

func report(f func(OptOutReject), c *chunk, about []*dncv1.ImportReject) {
	if f == nil {
		return
	}
	rows := c.frame.GetRows()
	for _, r := range about {
		if int(r.GetIndex()) < len(rows) {
			e := fromItem(r.GetError())
			f(OptOutReject{c.first + uint64(r.GetIndex()), rows[r.GetIndex()].GetNumber(), e.Reason, e.Message})
		}
	}
}

// reportLate reports the rows that were rejected after the commit.
func (r *rowChunks) reportLate(rejects []*dncv1.RowReject) {
	if r.calls.onReject == nil {
		return
	}
	for _, reject := range rejects {
		if seq := reject.GetSeq(); seq >= 1 && seq <= uint64(len(r.starts)) {
			e := fromItem(reject.GetError())
			r.calls.onReject(OptOutReject{Row: r.starts[seq-1] + uint64(reject.GetIndex()), Reason: e.Reason, Message: e.Message})
		}
	}
}
