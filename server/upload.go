package server

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/chunkhash"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// upload is one stream of an import, of a list or of records: a header, chunks and a commit.
type upload[Req, Resp any] struct {
	*service
	stream grpc.BidiStreamingServer[Req, Resp]
	frames <-chan frame[Req]
	intake intake[Req, Resp]
	staged staged
	acks   []*dncv1.ImportAck // of chunks that are not durable yet
}

// intake handles the frames of one kind of import.
type intake[Req, Resp any] interface {
	// begin opens the import that a header asks for. It returns errHeaderMissing for any other frame.
	begin(req *Req) (staged, error)
	// put stages a chunk.
	put(c *dncv1.ImportChunk) (*dncv1.ImportAck, error)
	// commit ends the import.
	commit(ctx context.Context, c *dncv1.ImportCommit, progress func(store.Progress)) (*Resp, error)
	// These make the frames of answers.
	opened(*dncv1.ImportOpened) *Resp
	acked(*dncv1.ImportAck) *Resp
	progress(*dncv1.ImportProgress) *Resp
}

// staged is an import of either kind, in the store.
type staged interface {
	ID() string
	LastChunk() uint64
	Committed() bool
	ChunkHashes() []chunkhash.Hash
	ChunksWithRejects() []uint64
	Sync() error
	Close() error
}

// importFrame is a frame of either kind of import.
type importFrame interface {
	proto.Message
	GetChunk() *dncv1.ImportChunk
	GetCommit() *dncv1.ImportCommit
}

func newUpload[Req, Resp any](s *service, stream grpc.BidiStreamingServer[Req, Resp], in intake[Req, Resp]) *upload[Req, Resp] {
	return &upload[Req, Resp]{service: s, stream: stream, frames: receive(stream, fresh[Req]), intake: in}
}

// next returns the next frame; io.EOF when the client has sent all.
func (u *upload[Req, Resp]) next() (*Req, error) {
	return nextFrame(u.stream.Context(), u.frames, u.draining)
}

func (u *upload[Req, Resp]) run() (committed bool, err error) {
	req, err := u.next()
	if errors.Is(err, io.EOF) {
		return false, invalidField("frame", "is missing: begin with a header")
	}
	if err != nil {
		return false, err
	}
	if u.staged, err = u.intake.begin(req); err != nil {
		return false, err
	}
	defer u.staged.Close()
	if err := u.open(); err != nil {
		return false, err
	}
	return u.take()
}

// errHeaderMissing refuses a stream that begins with another frame.
func errHeaderMissing() error { return invalidField("frame", "must be a header first") }

// toldChunks is how many hashes of staged chunks are sent with the answer to a header: 2 MiB.
const toldChunks = 128 << 10

// open answers the header.
func (u *upload[Req, Resp]) open() error {
	opened := &dncv1.ImportOpened{
		ImportId:  u.staged.ID(),
		LastChunk: u.staged.LastChunk(),
		Committed: u.staged.Committed(),
		IdleLimit: durationpb.New(loadIdle),
	}
	hashes := u.staged.ChunkHashes()
	opened.ChunkHashes = chunkhash.Join(hashes[:min(toldChunks, len(hashes))])
	for _, chunk := range u.staged.ChunksWithRejects() {
		if chunk <= toldChunks {
			opened.RejectedChunks = append(opened.RejectedChunks, chunk)
		}
	}
	return u.stream.Send(u.intake.opened(opened))
}

// take stages chunks until the commit, or until the client leaves. What is staged stays there for a resume.
func (u *upload[Req, Resp]) take() (committed bool, err error) {
	for {
		req, err := u.next()
		if errors.Is(err, io.EOF) {
			return false, u.about(cmp.Or(u.ack(), errNotCommitted()))
		}
		if err != nil {
			return false, err
		}
		switch f := any(req).(importFrame); {
		case f.GetChunk() != nil:
			err = u.chunk(f.GetChunk())
		case f.GetCommit() != nil:
			if err = u.ack(); err == nil {
				return true, u.about(u.commit(f.GetCommit()))
			}
		default:
			err = keepsOpen(f)
		}
		if err != nil {
			return false, u.about(err)
		}
	}
}

// about adds the import to the metadata of an error.
func (u *upload[Req, Resp]) about(err error) error {
	if err == nil {
		return nil
	}
	return withImport(err, u.staged.ID())
}

func withImport(err error, id string) error { return faultOf(err).with("import_id", id) }

// errNotCommitted is how an import ends when its client ends the stream without a commit.
func errNotCommitted() error {
	return refuse(dncv1.ErrorReason_ERROR_REASON_IMPORT_NOT_COMMITTED,
		"the stream ended before the commit: nothing was loaded; continue with the import_id and send the commit, or leave it: what was sent is deleted after 24 hours")
}

// unacked is how many chunks may be staged without an ack. They are made durable together.
const unacked = 8

// chunk stages one chunk, and acks it with the earlier ones unless the next chunk has arrived already.
func (u *upload[Req, Resp]) chunk(c *dncv1.ImportChunk) error {
	ack, err := u.intake.put(c)
	if err != nil {
		return err
	}
	u.acks = append(u.acks, ack)
	if len(u.frames) > 0 && len(u.acks) < unacked {
		return nil
	}
	return u.ack()
}

// ack makes durable what is staged, and sends the acks.
func (u *upload[Req, Resp]) ack() error {
	if err := u.staged.Sync(); err != nil {
		return err
	}
	for _, a := range u.acks {
		if err := u.stream.Send(u.intake.acked(a)); err != nil {
			return err
		}
	}
	u.acks = u.acks[:0]
	return nil
}

// commit ends the import, and reports its progress to the client.
func (u *upload[Req, Resp]) commit(c *dncv1.ImportCommit) error {
	ctx, cancel := u.untilStopping(u.stream.Context())
	defer cancel()
	told := &progress{send: func(p *dncv1.ImportProgress) error { return u.stream.Send(u.intake.progress(p)) }}
	result, err := u.intake.commit(ctx, c, told.report)
	if err != nil {
		return unlessStopping(ctx, u.stream.Context(), err)
	}
	return u.stream.Send(result)
}

// unlessStopping is err, or the server's stop if that ended ctx and the stream did not. The import itself continues,
// after a restart if necessary.
func unlessStopping(ctx, stream context.Context, err error) error {
	if err != nil && ctx.Err() != nil && stream.Err() == nil {
		return store.ErrClosed
	}
	return err
}

// resumed continues the import of an earlier client. It may wait for that client's end.
func resumed[H, I any](stream context.Context, s *service, h H, resume func(context.Context, H) (I, error)) (I, error) {
	ctx, cancel := until(stream, s.draining)
	defer cancel()
	i, err := resume(ctx, h)
	return i, unlessStopping(ctx, stream, err)
}

// untilStopping is ctx, ended when the grace of a stop is nearly over.
func (s *service) untilStopping(ctx context.Context) (context.Context, context.CancelFunc) {
	return until(ctx, s.stopping)
}

// until is ctx, ended when end is closed.
func until(ctx context.Context, end <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-end:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// progress reports to the client periodically how far an import is.
type progress struct {
	send   func(*dncv1.ImportProgress) error
	phase  store.Phase
	last   time.Time
	failed bool
}

const progressEvery = 500 * time.Millisecond

var phases = map[store.Phase]dncv1.ImportPhase{
	store.PhaseComparing: dncv1.ImportPhase_IMPORT_PHASE_COMPARING,
	store.PhaseWriting:   dncv1.ImportPhase_IMPORT_PHASE_WRITING,
	store.PhaseSwitching: dncv1.ImportPhase_IMPORT_PHASE_SWITCHING,
	store.PhaseRecording: dncv1.ImportPhase_IMPORT_PHASE_RECORDING,
}

// report sends each new phase immediately, and further progress periodically. A failed send is ignored: the stream's
// context ends when the client is gone.
func (p *progress) report(at store.Progress) {
	now := time.Now()
	if p.failed || (at.Phase == p.phase && now.Sub(p.last) < progressEvery) {
		return
	}
	p.phase, p.last = at.Phase, now
	p.failed = p.send(&dncv1.ImportProgress{Phase: phases[at.Phase], Done: at.Done, Total: at.Total}) != nil
}
