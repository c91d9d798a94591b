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

// optOutLoad is the rows of an ImportOptOuts on their way.
type optOutLoad struct {
	request *ImportOptOutsRequest
	batch   []OptOut // read and not yet in a chunk
	room    []OptOut // what batch lies in
	ended   bool     // the source has no more
	rows    uint64   // put in chunks
	starts  []uint64 // the first row of each chunk
}

// rowUpload sends the rows of an import.
func rowUpload(c *Client, source *optOutLoad, header *dncv1.ImportRecordsHeader) *recordUpload {
	return &recordUpload{
		client: c, rpc: importOfRows(header), source: source, sources: header.GetSources(),
	}
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
func (l *optOutLoad) fill() (*dncv1.ImportChunk, int, error) {
	rows, err := l.fillRows()
	if err != nil || len(rows) == 0 {
		return nil, 0, err
	}
	l.starts = append(l.starts, l.rows)
	l.rows += uint64(len(rows))
	return &dncv1.ImportChunk{Rows: rows}, len(rows), nil
}

// fillRows makes the rows of a chunk; none at the source's end.
func (l *optOutLoad) fillRows() ([]*dncv1.RecordRow, error) {
	rows := make([]*dncv1.RecordRow, 0, optOutRows)
	for size := 0; len(rows) < optOutRows && size < optOutBytes; {
		if len(l.batch) == 0 {
			if err := l.refill(); err != nil || len(l.batch) == 0 {
				return rows, err
			}
		}
		row := toRow(&l.batch[0])
		l.batch = l.batch[1:]
		rows = append(rows, row)
		size += proto.Size(row) + rowOverhead
	}
	return rows, nil
}

// refill reads more of the source into batch, which stays empty at its end.
func (l *optOutLoad) refill() error {
	if l.ended {
		return nil
	}
	n, err := l.request.Rows.Next(l.room)
	l.batch = l.room[:n]
	if err == io.EOF {
		l.ended = true
		return nil
	}
	return err
}

// summary implements uploadSource. Opt-outs cover no prefixes.
func (l *optOutLoad) summary() SourceSummary {
	sum := l.request.Rows.Summary()
	sum.Coverage, sum.Inferred = nil, nil
	return sum
}

// said implements uploadSource: it reports the rows that the server rejects, or has remarks about.
func (l *optOutLoad) said(c *chunk, a *dncv1.ImportAck) {
	report(l.request.OnReject, c, a.GetRejects())
	report(l.request.OnRemark, c, a.GetRemarks())
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

// saidLate reports the rows that were rejected after the commit.
func (l *optOutLoad) saidLate(rejects []*dncv1.RowReject) {
	if l.request.OnReject == nil {
		return
	}
	for _, r := range rejects {
		if r.GetSeq() >= 1 && r.GetSeq() <= uint64(len(l.starts)) {
			e := fromItem(r.GetError())
			l.request.OnReject(OptOutReject{Row: l.starts[r.GetSeq()-1] + uint64(r.GetIndex()), Reason: e.Reason, Message: e.Message})
		}
	}
}

// resumed implements uploadSource.
func (l *optOutLoad) resumed(rows uint64) {
	if l.request.OnResume != nil {
		l.request.OnResume(rows)
	}
}

// progress implements uploadSource.
func (l *optOutLoad) progress(p Progress) {
	if l.request.OnProgress != nil {
		l.request.OnProgress(p)
	}
}
