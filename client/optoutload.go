package client

import (
	"context"
	"errors"
	"io"
	"sync"

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

type recordStream = grpc.BidiStreamingClient[dncv1.ImportRecordsRequest, dncv1.ImportRecordsResponse]

// optOutLoad is one ImportOptOuts. The goroutine of run reads the source and sends;
// each stream has a goroutine that receives.
type optOutLoad struct {
	client  *Client
	request *ImportOptOutsRequest
	header  *dncv1.ImportRecordsHeader

	// Of the sending goroutine alone.
	batch []OptOut // read and not yet sent
	room  []OptOut // what batch lies in
	ended bool     // the source has no more
	last  uint64   // chunk
	rows  uint64   // put in chunks
	// commit is set once the source has ended.
	commit *dncv1.ImportCommit

	window chan struct{} // a token for each chunk that waits for its ack

	mu      sync.Mutex
	starts  []uint64 // the first row of each chunk
	unacked []*dncv1.ImportChunk
	acked   uint64 // rows staged durably
	breaks  int    // streams lost since the last ack
}

func newOptOutLoad(c *Client, r *ImportOptOutsRequest, header *dncv1.ImportRecordsHeader) *optOutLoad {
	return &optOutLoad{
		client: c, request: r, header: header,
		room: make([]OptOut, 1000), window: make(chan struct{}, chunksAhead),
	}
}

// run sends the rows over as many streams as it takes.
func (l *optOutLoad) run(ctx context.Context) (*dncv1.ImportRecordsResult, error) {
	for {
		result, err := l.stream(ctx)
		if err == nil {
			return result, nil
		}
		if !l.goesOn(err) || !pause(ctx, l.breaks, retryAfter(err)) {
			return nil, err
		}
	}
}

// goesOn reports whether an import may be taken up on another stream after err.
func (l *optOutLoad) goesOn(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	if l.header.GetImportId() == "" { // not opened yet: tried again as a call is
		l.breaks++
		return l.client.retriable(e, l.breaks)
	}
	l.breaks++
	switch e.Reason {
	case reasonUnavailable, reasonShuttingDown, reasonQueueFull, reasonOverloaded, reasonStreamIdle:
		return l.breaks <= maxBreaks
	case reasonImportRunning: // the server has not yet noticed that the old stream is gone
		return l.breaks <= maxBreaks
	}
	return false
}

// recordsEnding is how the receiving side of a stream ended.
type recordsEnding struct {
	result *dncv1.ImportRecordsResult
	err    error
}

// stream opens the import on one stream and sends what the server does not hold.
func (l *optOutLoad) stream(ctx context.Context) (*dncv1.ImportRecordsResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := l.client.pick().records.ImportRecords(ctx)
	if err != nil {
		return nil, fromStatus(err)
	}
	opened, err := l.open(s)
	if err != nil {
		return nil, err
	}
	s = keepOpen(ctx, s, opened.GetIdleLimit().AsDuration())
	end := make(chan recordsEnding, 1)
	go func() { end <- l.receive(s) }()
	err = l.send(ctx, s, end)
	var fault *sourceError
	if errors.As(err, &fault) {
		cancel()
		<-end
		return nil, fault.error
	}
	e := <-end // of the receiving side: it knows why sending failed
	return e.result, e.err
}

func (l *optOutLoad) open(s recordStream) (*dncv1.ImportOpened, error) {
	// A failed Send tells nothing: Recv has the reason.
	_ = s.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: l.header}})
	answer, err := s.Recv()
	if err != nil {
		return nil, cutOr(err)
	}
	opened := answer.GetOpened()
	if opened.GetImportId() == "" {
		return nil, broken("the server did not open the import")
	}
	l.header.ImportId = opened.GetImportId()
	return opened, nil
}

// send sends the chunks that were not acked, then the rest of the source, then the commit. The server may hold some of the
// first: it passes over them, and their acks tell what is wrong with their rows.
func (l *optOutLoad) send(ctx context.Context, s recordStream, end chan recordsEnding) error {
	for _, c := range l.waiting() {
		if err := s.Send(recordsChunk(c)); err != nil {
			return err
		}
	}
	for l.commit == nil {
		c, err := l.next(ctx, end)
		if err != nil {
			return err
		}
		if c == nil {
			break
		}
		if err := s.Send(recordsChunk(c)); err != nil {
			return err
		}
	}
	if err := s.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Commit{Commit: l.commit}}); err != nil {
		return err
	}
	return s.CloseSend()
}

func recordsChunk(c *dncv1.ImportChunk) *dncv1.ImportRecordsRequest {
	return &dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Chunk{Chunk: c}}
}

// next reads a chunk from the source, once the window has room for it; nil at the
// source's end.
func (l *optOutLoad) next(ctx context.Context, end chan recordsEnding) (*dncv1.ImportChunk, error) {
	select {
	case l.window <- struct{}{}:
	case e := <-end:
		end <- e
		return nil, errStreamEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	rows, err := l.fill()
	if err != nil {
		return nil, &sourceError{err}
	}
	if len(rows) == 0 {
		<-l.window
		return nil, l.finish()
	}
	l.last++
	c := &dncv1.ImportChunk{Seq: l.last, Rows: rows}
	l.mu.Lock()
	l.unacked = append(l.unacked, c)
	l.starts = append(l.starts, l.rows)
	l.mu.Unlock()
	l.rows += uint64(len(rows))
	return c, nil
}

// fill makes the rows of a chunk; none at the source's end.
func (l *optOutLoad) fill() ([]*dncv1.RecordRow, error) {
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

// finish makes the commit of what the source says about itself.
func (l *optOutLoad) finish() error {
	sum := l.request.Rows.Summary()
	sources, err := toSources(sum.Sources)
	if err != nil {
		return &sourceError{err}
	}
	if len(sources) == 0 {
		sources = l.header.GetSources()
	}
	l.commit = &dncv1.ImportCommit{
		Chunks: l.last, Read: sum.Read, Rejected: sum.Rejected, Empty: sum.Empty, Rows: sum.Rows, Sources: sources,
		RejectTallies: each(sum.RejectTallies, toTally), TruncatedFiles: sum.TruncatedFiles,
	}
	return nil
}

// receive takes acks and progress until the result or an error.
func (l *optOutLoad) receive(s recordStream) recordsEnding {
	for {
		answer, err := s.Recv()
		if err != nil {
			return recordsEnding{err: cutOr(err)}
		}
		switch frame := answer.GetFrame().(type) {
		case *dncv1.ImportRecordsResponse_Ack:
			l.ack(frame.Ack)
		case *dncv1.ImportRecordsResponse_Progress:
			l.report(fromProgress(frame.Progress))
		case *dncv1.ImportRecordsResponse_Result:
			return recordsEnding{result: frame.Result}
		}
	}
}

func (l *optOutLoad) ack(a *dncv1.ImportAck) {
	l.mu.Lock()
	rejects, remarks := l.told(a.GetSeq(), a.GetRejects()), l.told(a.GetSeq(), a.GetRemarks())
	l.breaks = 0
	l.mu.Unlock()
	l.drop(a.GetSeq())
	eachTo(l.request.OnReject, rejects)
	eachTo(l.request.OnRemark, remarks)
	l.mu.Lock()
	done := l.acked
	l.mu.Unlock()
	l.report(Progress{Phase: PhaseSending, Done: done})
}

func eachTo(f func(OptOutReject), list []OptOutReject) {
	for i := 0; f != nil && i < len(list); i++ {
		f(list[i])
	}
}

// told finds the rows of an acked chunk that the server rejects, or has remarks about.
func (l *optOutLoad) told(seq uint64, list []*dncv1.ImportReject) []OptOutReject {
	var found []OptOutReject
	for _, c := range l.unacked {
		if c.GetSeq() != seq {
			continue
		}
		for _, r := range list {
			if int(r.GetIndex()) < len(c.GetRows()) {
				e := fromItem(r.GetError())
				row := l.starts[c.GetSeq()-1] + uint64(r.GetIndex())
				found = append(found, OptOutReject{row, c.GetRows()[r.GetIndex()].GetNumber(), e.Reason, e.Message})
			}
		}
	}
	return found
}

// tellLate tells the rows that were rejected after the commit.
func (l *optOutLoad) tellLate(rejects []*dncv1.RowReject) {
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

// drop forgets the chunks up to seq, which the server holds durably.
func (l *optOutLoad) drop(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.unacked) > 0 && l.unacked[0].GetSeq() <= seq {
		l.acked += uint64(len(l.unacked[0].GetRows()))
		l.unacked = l.unacked[1:]
		<-l.window
	}
}

func (l *optOutLoad) waiting() []*dncv1.ImportChunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*dncv1.ImportChunk(nil), l.unacked...)
}

func (l *optOutLoad) report(p Progress) {
	if l.request.OnProgress != nil {
		l.request.OnProgress(p)
	}
}
