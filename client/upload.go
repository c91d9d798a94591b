package client

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/dncd/dncd/internal/chunkhash"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	// stageWait bounds how long an import whose source failed waits until the server has
	// staged what was sent.
	stageWait = 5 * time.Second
	// maxBreaks is how many times in a row an import is continued without an ack in between.
	maxBreaks = 8
)

// importRPC is one of the two calls that import. They share every frame but the header and the result.
type importRPC[Req, Resp, Result any] struct {
	open   func(context.Context, *connection) (grpc.BidiStreamingClient[Req, Resp], error)
	header func(id string, begun bool) *Req // id: of the import to continue; begun: the server works on its commit
	chunk  func(*dncv1.ImportChunk) *Req
	commit func(*dncv1.ImportCommit) *Req
	answer func(*Resp) importAnswer[Result]
}

// importAnswer is a frame from the server.
type importAnswer[Result any] interface {
	GetOpened() *dncv1.ImportOpened
	GetAck() *dncv1.ImportAck
	GetProgress() *dncv1.ImportProgress
	GetResult() *Result
}

// uploadSource is what an upload sends.
type uploadSource interface {
	// fill reads a chunk, without its seq, and how many entries it holds; 0 at the source's end.
	fill() (frame *dncv1.ImportChunk, entries int, err error)
	// summary is asked for once, at the source's end.
	summary() SourceSummary
	// acked reports to the caller what the server says about the entries of a chunk.
	acked(c *chunk, a *dncv1.ImportAck)
}

// upload is one import, of a list or of records. The goroutine of run reads the source and sends; each stream has a
// goroutine that receives.
type upload[Req, Resp, Result any] struct {
	client  *Client
	rpc     importRPC[Req, Resp, Result]
	source  uploadSource
	sources []*dncv1.ImportSource // as far as they are known before they are read
	pending *pending

	// The caller's functions; nil: none.
	onResume   func(entries uint64)
	onProgress func(Progress)

	// Of the sending goroutine alone.
	id      string              // of the import; empty: it is not open yet
	hashes  []chunkhash.Hash    // of all chunks, from the first on
	commit  *dncv1.ImportCommit // set once the source has ended
	staged  *stagedChunks       // on the stream that is open
	resumed uint64              // entries of chunks that an earlier import sent
	hasSaid bool                // onResume was called

	reporting sync.Mutex // held while a function of the caller runs

	mu     sync.Mutex
	breaks int  // streams lost since the last ack
	begun  bool // the server works on the commit
}

// closeSource closes the caller's source, if it is an io.Closer, and joins the error of that to err.
func closeSource(source any, err *error) {
	if closer, ok := source.(io.Closer); ok {
		*err = errors.Join(*err, closer.Close())
	}
}

// run sends the import over as many streams as it takes.
func (u *upload[Req, Resp, Result]) run(ctx context.Context) (*Result, error) {
	u.pending = newPending()
	for {
		result, err := u.stream(ctx)
		if err == nil {
			return result, nil
		}
		if !u.continues(err) || !pause(ctx, u.breaks, retryAfter(err)) {
			return nil, err
		}
	}
}

// continues reports whether the import may be continued on another stream after err.
func (u *upload[Req, Resp, Result]) continues(err error) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	u.breaks++
	if u.id == "" { // it is not open yet: tried again as a call is
		return u.client.retriable(e, u.breaks)
	}
	switch e.Reason {
	case reasonUnavailable, reasonShuttingDown, reasonQueueFull, reasonOverloaded, reasonStreamIdle:
		return u.breaks <= maxBreaks
	case reasonImportRunning: // the server has not yet noticed that the old stream is gone
		return u.breaks <= maxBreaks && !u.staged.all
	}
	return false
}

// stream opens the import on one stream and sends what the server does not hold.
func (u *upload[Req, Resp, Result]) stream(ctx context.Context) (*Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := u.rpc.open(ctx, u.client.pick())
	if err != nil {
		return nil, fromStatus(err)
	}
	idle, err := u.open(s)
	if err != nil {
		return nil, err
	}
	s = keepOpen(ctx, s, idle)
	end := make(chan ending[Result], 1)
	go func() { end <- u.receive(s) }()
	err = u.send(ctx, s, end)
	var fault *sourceError
	if errors.As(err, &fault) {
		defer time.AfterFunc(stageWait, cancel).Stop()
		_ = s.CloseSend() // the server stages what it was sent, to continue from there
		<-end
		return nil, fault.error
	}
	e := <-end // of the receiving side: it knows why sending failed
	return e.result, e.err
}

// open sends the header. It returns for how long the stream may send nothing; 0: as long as it takes.
func (u *upload[Req, Resp, Result]) open(s grpc.BidiStreamingClient[Req, Resp]) (idle time.Duration, err error) {
	u.staged = &stagedChunks{}
	// The reason of a failed Send comes from Recv.
	_ = s.Send(u.rpc.header(u.id, u.isBegun()))
	answer, err := s.Recv()
	if err != nil {
		return 0, cutOr(err)
	}
	opened := u.rpc.answer(answer).GetOpened()
	if opened.GetImportId() == "" {
		return 0, broken("the server did not open the import")
	}
	u.id = opened.GetImportId()
	u.staged = newStagedChunks(opened)
	return opened.GetIdleLimit().AsDuration(), nil
}

// ending is how the receiving side of a stream ended.
type ending[Result any] struct {
	result *Result
	err    error
}

// sourceError is an error of the caller's source.
type sourceError struct{ error }

// errStreamEnded makes the sending side stop when the receiving side has.
var errStreamEnded = errors.New("stream ended")

// send sends the chunks that were not acked, then the rest of the source, then the commit. It passes over what the server
// holds.
func (u *upload[Req, Resp, Result]) send(ctx context.Context, s grpc.BidiStreamingClient[Req, Resp], end chan ending[Result]) error {
	for _, c := range u.pending.list() {
		if u.staged.canSkip(&c) {
			u.settle(&c)
		} else if err := s.Send(u.rpc.chunk(c.frame)); err != nil {
			return err
		}
	}
	for u.commit == nil {
		c, err := u.next(ctx, end)
		if err != nil {
			return err
		}
		if c == nil {
			break
		}
		if err := u.put(s, c); err != nil {
			return err
		}
	}
	u.reportResumed()
	if err := s.Send(u.rpc.commit(u.commit)); err != nil {
		return err
	}
	return s.CloseSend()
}

// put sends a new chunk, unless the server holds it from an earlier import.
func (u *upload[Req, Resp, Result]) put(s grpc.BidiStreamingClient[Req, Resp], c *chunk) error {
	u.pending.add(c)
	if u.staged.holds(c) {
		u.resumed += c.count
	} else {
		u.reportResumed()
	}
	if u.staged.canSkip(c) {
		u.settle(c)
		return nil
	}
	return s.Send(u.rpc.chunk(c.frame))
}

// settle forgets a chunk that the server holds and about which there is nothing to report.
func (u *upload[Req, Resp, Result]) settle(c *chunk) {
	u.pending.settle(c.frame.GetSeq())
	u.reportSent()
}

// reportResumed calls onResume once, when it is known how much an earlier import has sent.
func (u *upload[Req, Resp, Result]) reportResumed() {
	if u.resumed == 0 || u.hasSaid || u.onResume == nil {
		return
	}
	u.hasSaid = true
	u.reporting.Lock()
	defer u.reporting.Unlock()
	u.onResume(u.resumed)
}

// next reads a chunk from the source, once the window has room for it. At the source's end it makes the commit and
// returns nil.
func (u *upload[Req, Resp, Result]) next(ctx context.Context, end chan ending[Result]) (*chunk, error) {
	select {
	case u.pending.window <- struct{}{}:
	case e := <-end:
		end <- e
		return nil, errStreamEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	frame, n, err := u.source.fill()
	if err != nil {
		return nil, &sourceError{err}
	}
	if n == 0 {
		<-u.pending.window
		return nil, u.finish()
	}
	c := &chunk{frame: frame, hash: hashOf(frame), count: uint64(n)}
	u.hashes = append(u.hashes, c.hash)
	frame.Seq = uint64(len(u.hashes))
	return c, nil
}

// finish makes the commit of what the source says about itself.
func (u *upload[Req, Resp, Result]) finish() error {
	sum := u.source.summary()
	sources, err := toSources(sum.Sources)
	if err != nil {
		return &sourceError{err}
	}
	if len(sources) == 0 {
		sources = u.sources
	}
	u.commit = &dncv1.ImportCommit{
		Chunks:           uint64(len(u.hashes)),
		Read:             sum.Read,
		Rejected:         sum.Rejected,
		Empty:            sum.Empty,
		Rows:             sum.Rows,
		RejectTallies:    each(sum.RejectTallies, toTally),
		Sources:          sources,
		Coverage:         sum.Coverage,
		InferredCoverage: sum.Inferred,
		ChunksDigest:     chunkhash.Digest(u.hashes),
		TruncatedFiles:   sum.TruncatedFiles,
	}
	return nil
}

// receive takes acks and progress until the result or an error.
func (u *upload[Req, Resp, Result]) receive(s grpc.BidiStreamingClient[Req, Resp]) ending[Result] {
	for {
		frame, err := s.Recv()
		if err != nil {
			return ending[Result]{err: cutOr(err)}
		}
		switch answer := u.rpc.answer(frame); {
		case answer.GetAck() != nil:
			u.ack(answer.GetAck())
		case answer.GetProgress() != nil:
			u.begin()
			u.report(func() Progress { return fromProgress(answer.GetProgress()) })
		case answer.GetResult() != nil:
			return ending[Result]{result: answer.GetResult()}
		}
	}
}

func fromProgress(p *dncv1.ImportProgress) Progress {
	return Progress{name[Phase](p.GetPhase(), "IMPORT_PHASE_"), p.GetDone(), p.GetTotal()}
}

// cutOr is the error of a stream that ended before its time.
func cutOr(err error) error {
	if err == io.EOF {
		return &Error{Reason: reasonUnavailable, Message: "the server closed the import before its end: try again", code: codes.Unavailable}
	}
	return fromStatus(err)
}

func (u *upload[Req, Resp, Result]) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.begun = true
}

func (u *upload[Req, Resp, Result]) isBegun() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.begun
}

func (u *upload[Req, Resp, Result]) ack(a *dncv1.ImportAck) {
	u.mu.Lock()
	u.breaks = 0
	u.mu.Unlock()
	u.reportAck(a)
	u.pending.drop(a.GetSeq())
	u.reportSent()
}

// reportAck reports what the server says about a chunk, before the chunk counts as sent.
func (u *upload[Req, Resp, Result]) reportAck(a *dncv1.ImportAck) {
	c := u.pending.find(a.GetSeq())
	if c == nil {
		return
	}
	u.reporting.Lock()
	defer u.reporting.Unlock()
	u.source.acked(c, a)
}

// reportSent reports how many entries the server holds, from the first on.
func (u *upload[Req, Resp, Result]) reportSent() {
	u.report(func() Progress { return Progress{Phase: PhaseSending, Done: u.pending.done()} })
}

// report calls onProgress. What it reports is read under the lock, so that Done never goes back.
func (u *upload[Req, Resp, Result]) report(progress func() Progress) {
	if u.onProgress == nil {
		return
	}
	u.reporting.Lock()
	defer u.reporting.Unlock()
	u.onProgress(progress())
}
