package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	// chunksAhead is how many chunks may wait for their ack: what is kept to be sent again.
	chunksAhead = 16
	// stageWait bounds how long an Import whose source failed waits until the server has
	// staged what was sent.
	stageWait = 5 * time.Second
	// maxBreaks is how many times in a row a load is taken up again without an ack in between.
	maxBreaks = 8
)

type importStream = grpc.BidiStreamingClient[dncv1.ImportRequest, dncv1.ImportResponse]

// load is one Import. The goroutine of run reads the source and sends; each
// stream has a goroutine that receives.
type load struct {
	client  *Client
	request *ImportRequest
	header  *dncv1.ImportHeader

	// Of the sending goroutine alone.
	batch   []uint64
	hashes  []chunkhash.Hash    // of all chunks, from the first on
	commit  *dncv1.ImportCommit // set once the source has ended
	held    *held               // by the server, on the stream that is open
	resumed uint64              // numbers of chunks that an earlier Import sent
	told    bool                // OnResume was, or is not to be told

	window chan struct{} // a token for each chunk that waits for its ack

	telling sync.Mutex // the caller's functions are called one at a time

	mu      sync.Mutex
	unacked []chunk // sent or to be sent, by ascending seq
	acked   uint64  // numbers staged durably
	breaks  int     // streams lost since the last ack
	begun   bool    // the server compares or writes the load: it has the list
}

// chunk is kept until it is acked.
type chunk struct {
	frame *dncv1.ImportChunk
	hash  chunkhash.Hash
	count uint64
}

func newLoad(c *Client, r *ImportRequest, header *dncv1.ImportHeader) *load {
	return &load{
		client:  c,
		request: r,
		header:  header,
		batch:   make([]uint64, chunkNumbers),
		window:  make(chan struct{}, chunksAhead),
	}
}

// run sends the load over as many streams as it takes.
func (l *load) run(ctx context.Context) (*dncv1.ImportResult, error) {
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

// goesOn reports whether a load may be taken up on another stream after err.
func (l *load) goesOn(err error) bool {
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
	if l.begun { // what there was to take over is gone: what holds the list now is this load, or a later one
		l.header.TakeOver = false
	}
	l.breaks++
	switch e.Reason {
	case reasonUnavailable, reasonShuttingDown, reasonQueueFull, reasonOverloaded, reasonStreamIdle:
		return l.breaks <= maxBreaks
	case reasonImportRunning: // the server has not yet noticed that the old stream is gone
		return l.breaks <= maxBreaks && !l.held.all
	}
	return false
}

// stream opens the import on one stream and sends what the server does not hold.
func (l *load) stream(ctx context.Context) (*dncv1.ImportResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := l.client.pick().lists.Import(ctx)
	if err != nil {
		return nil, fromStatus(err)
	}
	idle, err := l.open(s)
	if err != nil {
		return nil, err
	}
	s = keepOpen(ctx, s, idle)
	end := make(chan ending, 1)
	go func() { end <- l.receive(s) }()
	err = l.send(ctx, s, end)
	var fault *sourceError
	if errors.As(err, &fault) {
		defer time.AfterFunc(stageWait, cancel).Stop()
		_ = s.CloseSend() // the server stages what it was sent, to go on from there
		<-end
		return nil, fault.error
	}
	e := <-end // of the receiving side: it knows why sending failed
	return e.result, e.err
}

// open sends the header. It returns for how long the stream may send nothing; 0: as long as it takes.
func (l *load) open(s importStream) (idle time.Duration, err error) {
	l.held = &held{}
	// A failed Send tells nothing: Recv has the reason.
	_ = s.Send(&dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: l.header}})
	answer, err := s.Recv()
	if err != nil {
		return 0, cutOr(err)
	}
	opened := answer.GetOpened()
	if opened.GetImportId() == "" {
		return 0, broken("the server did not open the import")
	}
	l.header.ImportId = opened.GetImportId()
	l.held = newHeld(opened)
	return opened.GetIdleLimit().AsDuration(), nil
}

// ending is how the receiving side of a stream ended.
type ending struct {
	result *dncv1.ImportResult
	err    error
}

// sourceError is an error of the caller's NumberSource.
type sourceError struct{ error }

// errStreamEnded makes the sending side stop when the receiving side has.
var errStreamEnded = errors.New("stream ended")

// send sends the chunks that were not acked, then the rest of the source, then the commit. It passes over what the server
// holds.
func (l *load) send(ctx context.Context, s importStream, end chan ending) error {
	for _, c := range l.waiting() {
		if l.held.settles(&c) {
			l.settle(c.frame.GetSeq())
		} else if err := s.Send(chunkFrame(c.frame)); err != nil {
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
		if err := l.put(s, c); err != nil {
			return err
		}
	}
	l.tellResume()
	if err := s.Send(&dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Commit{Commit: l.commit}}); err != nil {
		return err
	}
	return s.CloseSend()
}

// put sends a new chunk, unless the server holds it from an earlier Import.
func (l *load) put(s importStream, c *chunk) error {
	l.mu.Lock()
	l.unacked = append(l.unacked, *c)
	l.mu.Unlock()
	if l.held.has(c) {
		l.resumed += c.count
	} else {
		l.tellResume()
	}
	if l.held.settles(c) {
		l.settle(c.frame.GetSeq())
		return nil
	}
	return s.Send(chunkFrame(c.frame))
}

// tellResume tells once what an earlier Import has sent, when that is known.
func (l *load) tellResume() {
	if l.resumed == 0 || l.told {
		return
	}
	l.told = true
	if l.request.OnResume != nil {
		l.telling.Lock()
		defer l.telling.Unlock()
		l.request.OnResume(l.resumed)
	}
}

func chunkFrame(c *dncv1.ImportChunk) *dncv1.ImportRequest {
	return &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Chunk{Chunk: c}}
}

// next reads a chunk from the source, once the window has room for it. At the source's end it makes the commit and
// returns nil.
func (l *load) next(ctx context.Context, end chan ending) (*chunk, error) {
	select {
	case l.window <- struct{}{}:
	case e := <-end:
		end <- e
		return nil, errStreamEnded
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	fill := l.fill
	if l.request.Mode == ModeDelta {
		fill = l.fillChanges
	}
	frame, n, err := fill()
	if err != nil {
		return nil, &sourceError{err}
	}
	if n == 0 {
		<-l.window
		return nil, l.finish()
	}
	c := &chunk{frame, hashOf(frame), uint64(n)}
	l.hashes = append(l.hashes, c.hash)
	frame.Seq = uint64(len(l.hashes))
	return c, nil
}

// fill reads a whole chunk of numbers; 0 at the source's end.
func (l *load) fill() (*dncv1.ImportChunk, int, error) {
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

// finish makes the commit of what the source says about itself.
func (l *load) finish() error {
	sum := l.request.Numbers.Summary()
	sources, err := toSources(sum.Sources)
	if err != nil {
		return &sourceError{err}
	}
	if len(sources) == 0 {
		sources = l.header.GetSources()
	}
	l.commit = &dncv1.ImportCommit{
		Chunks:           uint64(len(l.hashes)),
		Read:             sum.Read,
		Rejected:         sum.Rejected,
		Empty:            sum.Empty,
		Rows:             sum.Rows,
		RejectTallies:    each(sum.RejectTallies, toTally),
		Sources:          sources,
		Coverage:         sum.Coverage,
		InferredCoverage: sum.Inferred,
		ChunksDigest:     chunkhash.Digest(l.hashes),
		TruncatedFiles:   sum.TruncatedFiles,
	}
	return nil
}

// receive takes acks and progress until the result or an error.
func (l *load) receive(s importStream) ending {
	for {
		answer, err := s.Recv()
		if err != nil {
			return ending{err: cutOr(err)}
		}
		switch frame := answer.GetFrame().(type) {
		case *dncv1.ImportResponse_Ack:
			l.ack(frame.Ack)
		case *dncv1.ImportResponse_Progress:
			l.begin()
			l.report(fromProgress(frame.Progress))
		case *dncv1.ImportResponse_Result:
			return ending{result: frame.Result}
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

func (l *load) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = true
}

func (l *load) ack(a *dncv1.ImportAck) {
	l.mu.Lock()
	rejects := l.rejects(a)
	l.breaks = 0
	l.mu.Unlock()
	l.drop(a.GetSeq())
	l.tellRejects(rejects)
	l.mu.Lock()
	done := l.acked
	l.mu.Unlock()
	l.report(Progress{Phase: PhaseSending, Done: done})
}

func (l *load) tellRejects(rejects []ImportReject) {
	if l.request.OnReject == nil {
		return
	}
	l.telling.Lock()
	defer l.telling.Unlock()
	for _, r := range rejects {
		l.request.OnReject(r)
	}
}

// rejects finds the numbers of an acked chunk that the server rejects.
func (l *load) rejects(a *dncv1.ImportAck) []ImportReject {
	var found []ImportReject
	for _, c := range l.unacked {
		if c.frame.GetSeq() != a.GetSeq() || len(a.GetRejects()) == 0 {
			continue
		}
		numbers, err := decodeAscending(c.frame.GetAdd().GetAscending())
		removed, failed := decodeAscending(c.frame.GetRemove().GetAscending())
		if err != nil || failed != nil {
			return nil
		}
		numbers = append(numbers, removed...)
		for _, r := range a.GetRejects() {
			if int(r.GetIndex()) < len(numbers) {
				e := fromItem(r.GetError())
				found = append(found, ImportReject{phone.Number(numbers[r.GetIndex()]).E164(), e.Reason, e.Message})
			}
		}
	}
	return found
}

// drop forgets the chunks up to seq, which the server holds durably.
func (l *load) drop(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.unacked) > 0 && l.unacked[0].frame.GetSeq() <= seq {
		l.acked += l.unacked[0].count
		l.unacked = l.unacked[1:]
		<-l.window
	}
}

// settle forgets one chunk, which the server holds durably.
func (l *load) settle(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.unacked {
		if l.unacked[i].frame.GetSeq() == seq {
			l.acked += l.unacked[i].count
			l.unacked = slices.Delete(l.unacked, i, i+1)
			<-l.window
			return
		}
	}
}

func (l *load) waiting() []chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]chunk(nil), l.unacked...)
}

func (l *load) report(p Progress) {
	if l.request.OnProgress != nil {
		l.telling.Lock()
		defer l.telling.Unlock()
		l.request.OnProgress(p)
	}
}
