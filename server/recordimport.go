package server

import (
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type recordStream = grpc.BidiStreamingServer[dncv1.ImportRecordsRequest, dncv1.ImportRecordsResponse]

// ImportRecords implements dncv1.RecordServiceServer.
func (s *recordService) ImportRecords(stream recordStream) error {
	i := &recordImport{s: s, stream: stream, frames: receive(stream, fresh[dncv1.ImportRecordsRequest])}
	committed, err := i.run()
	if committed || err != nil {
		s.metrics.wrote(writeRecords, false, err)
	}
	return err
}

// recordImport is one stream of an import of opt-outs.
type recordImport struct {
	s      *recordService
	stream recordStream
	frames <-chan frame[dncv1.ImportRecordsRequest]
	rows   rowReader
	imp    *store.RecordImport
}

// next is the next frame; io.EOF when the client has sent all.
func (i *recordImport) next() (*dncv1.ImportRecordsRequest, error) {
	return nextFrame(i.stream.Context(), i.frames, i.s.draining)
}

func (i *recordImport) run() (committed bool, err error) {
	req, err := i.next()
	if errors.Is(err, io.EOF) {
		return false, invalidField("frame", "is missing: begin with a header")
	}
	if err != nil {
		return false, err
	}
	if req.GetHeader() == nil {
		return false, invalidField("frame", "must be a header first")
	}
	if err := i.open(req.GetHeader()); err != nil {
		return false, err
	}
	defer i.imp.Close()
	return i.take()
}

func (i *recordImport) open(header *dncv1.ImportRecordsHeader) error {
	h, err := i.header(header)
	if err != nil {
		return err
	}
	if i.imp, err = i.s.store.BeginRecords(h); err != nil {
		return err
	}
	err = i.stream.Send(&dncv1.ImportRecordsResponse{Frame: &dncv1.ImportRecordsResponse_Opened{Opened: &dncv1.ImportOpened{
		ImportId:  i.imp.ID(),
		LastChunk: i.imp.LastChunk(),
		Committed: i.imp.Committed(),
		IdleLimit: durationpb.New(loadIdle),
	}}})
	if err != nil {
		i.imp.Close()
	}
	return err
}

func (i *recordImport) header(h *dncv1.ImportRecordsHeader) (store.RecordsHeader, error) {
	out := store.RecordsHeader{
		ImportID: h.GetImportId(), Request: h.GetContext().GetRequestId(), Override: h.GetGuards().GetOverride(), DryRun: h.GetDryRun(),
	}
	if err := checkRecordsHeader(h); err != nil {
		return out, err
	}
	guards, err := guardsOf(h.GetGuards())
	if err != nil {
		return out, err
	}
	out.MaxRejects = guards.MaxRejects
	if err := checkText(field{name: "request_id", value: out.Request, max: maxRequestID}); err != nil {
		return out, err
	}
	if _, err := sourcesOf(h.GetSources(), false); err != nil {
		return out, err
	}
	rows, err := newRowReader(i.stream.Context(), i.s.store, h)
	i.rows, out.Story = rows, rows.story
	return out, err
}

// checkRecordsHeader refuses what no import of records has, and what this server does not support.
func checkRecordsHeader(h *dncv1.ImportRecordsHeader) error {
	switch {
	case h.GetKind() == dncv1.RecordKind_RECORD_KIND_CONSENT:
		return unsupported("RECORD_KIND_CONSENT")
	case h.GetKind() != dncv1.RecordKind_RECORD_KIND_OPT_OUT:
		return invalidField("kind", "must say what the rows are, such as opt-outs")
	case h.GetGuards() != nil && h.Guards.MaxShrinkRatio != nil:
		return invalidField("guards.max_shrink_ratio", "is for lists only: leave it out")
	case h.GetResume():
		return unsupported("resume")
	case h.GetLiftOptOuts():
		return unsupported("lift_opt_outs")
	}
	return nil
}

// take stages chunks until the commit, or until the client goes: what is staged stays for a resume.
func (i *recordImport) take() (committed bool, err error) {
	for {
		req, err := i.next()
		if errors.Is(err, io.EOF) {
			return false, withImport(errNotCommitted(), i.imp.ID())
		}
		if err != nil {
			return false, err
		}
		switch f := req.GetFrame().(type) {
		case *dncv1.ImportRecordsRequest_Chunk:
			err = i.chunk(f.Chunk)
		case *dncv1.ImportRecordsRequest_Commit:
			return true, i.commit(f.Commit)
		default:
			err = keepsOpen(req)
		}
		if err != nil {
			return false, withImport(err, i.imp.ID())
		}
	}
}

// chunk stages one chunk and acks it.
func (i *recordImport) chunk(c *dncv1.ImportChunk) error {
	chunk, ack, err := i.rows.read(c)
	if err != nil {
		return err
	}
	if err := i.imp.Put(chunk); err != nil {
		return err
	}
	return i.stream.Send(&dncv1.ImportRecordsResponse{Frame: &dncv1.ImportRecordsResponse_Ack{Ack: ack}})
}

// commit has the rows recorded and tells the client how far that is meanwhile.
func (i *recordImport) commit(c *dncv1.ImportCommit) error {
	switch {
	case len(c.GetChunksDigest()) > 0:
		return unsupported("chunks_digest")
	case len(c.GetCoverage())+len(c.GetInferredCoverage()) > 0:
		return invalidField("coverage", "is for lists only: leave it out")
	}
	tallies, err := talliesOf(c.GetRejectTallies())
	if err != nil {
		return err
	}
	sources, err := sourcesOf(c.GetSources(), true)
	if err != nil {
		return err
	}
	ctx, cancel := i.s.untilStopping(i.stream.Context())
	defer cancel()
	commit := store.RecordsCommit{
		Chunks: c.GetChunks(), Read: c.GetRead(), Rejected: c.GetRejected(), Rejects: tallies, Sources: sources,
		CutFiles: c.GetTruncatedFiles(), Empty: c.GetEmpty(), FileRows: c.GetRows(),
	}
	result, err := i.imp.Commit(ctx, commit, i.tell)
	if err != nil {
		if ctx.Err() != nil && i.stream.Context().Err() == nil {
			err = store.ErrClosed // the work itself goes on, after a restart if need be
		}
		return withImport(err, i.imp.ID())
	}
	return i.stream.Send(&dncv1.ImportRecordsResponse{Frame: &dncv1.ImportRecordsResponse_Result{
		Result: i.s.recordsResult(&result),
	}})
}

// tell sends the client how far the recording is. When it is gone, the stream's context says so.
func (i *recordImport) tell(done, total uint64) {
	_ = i.stream.Send(&dncv1.ImportRecordsResponse{Frame: &dncv1.ImportRecordsResponse_Progress{Progress: &dncv1.ImportProgress{
		Phase: dncv1.ImportPhase_IMPORT_PHASE_RECORDING, Done: done, Total: total,
	}}})
}

func (s *recordService) recordsResult(r *store.RecordsResult) *dncv1.ImportRecordsResult {
	m := &dncv1.ImportRecordsResult{
		ImportId:      r.ImportID,
		Refused:       r.Refused,
		DryRun:        r.DryRun,
		Read:          r.Read,
		Accepted:      r.Accepted,
		Duplicates:    r.Duplicates,
		Rejected:      r.Rejected,
		Empty:         r.Empty,
		Rows:          r.Rows,
		FirstRevision: r.First,
		Position:      &dncv1.Position{Revision: r.Last, JournalId: r.JournalID},
		Elapsed:       durationpb.New(r.Elapsed),
	}
	if r.Last == 0 {
		m.Position.Revision = s.store.View().Revision()
	}
	for i := range r.GuardFailures {
		m.GuardFailures = append(m.GuardFailures, guardFailure(&r.GuardFailures[i]))
	}
	limit := itemError(store.ErrTooManyRecords)
	for _, refused := range r.Refusals {
		m.Rejects = append(m.Rejects, &dncv1.RowReject{Seq: refused.Seq, Index: refused.Place, Error: limit})
	}
	return m
}
