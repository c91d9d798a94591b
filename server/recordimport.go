package server

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/access"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type recordStream = grpc.BidiStreamingServer[dncv1.ImportRecordsRequest, dncv1.ImportRecordsResponse]

// ImportRecords implements dncv1.RecordServiceServer.
func (s *recordService) ImportRecords(stream recordStream) error {
	i := &recordImportSession{s: s, ctx: stream.Context()}
	committed, err := newUpload(&s.service, stream, intake[dncv1.ImportRecordsRequest, dncv1.ImportRecordsResponse](i)).run()
	if committed || err != nil {
		s.metrics.wrote(writeRecords, false, err)
	}
	return err
}

// recordImportSession handles the stream of an import of opt-outs.
type recordImportSession struct {
	s    *recordService
	ctx  context.Context // of the stream
	rows rowReader
	imp  *store.RecordImport
}

// begin implements intake.
func (i *recordImportSession) begin(req *dncv1.ImportRecordsRequest) (staged, error) {
	if req.GetHeader() == nil {
		return nil, errHeaderMissing()
	}
	h, err := i.header(req.GetHeader())
	if err != nil {
		return nil, err
	}
	if req.GetHeader().GetResume() && h.ImportID == "" {
		i.imp, err = resumed(i.ctx, &i.s.service, h, i.s.store.ResumeRecords)
	} else {
		i.imp, err = i.s.store.BeginRecords(h)
	}
	if err != nil {
		return nil, err
	}
	return i.imp, nil
}

// opened implements intake.
func (i *recordImportSession) opened(o *dncv1.ImportOpened) *dncv1.ImportRecordsResponse {
	return &dncv1.ImportRecordsResponse{Frame: &dncv1.ImportRecordsResponse_Opened{Opened: o}}
}

// acked implements intake.
func (i *recordImportSession) acked(a *dncv1.ImportAck) *dncv1.ImportRecordsResponse {
	return &dncv1.ImportRecordsResponse{Frame: &dncv1.ImportRecordsResponse_Ack{Ack: a}}
}

// progress implements intake.
func (i *recordImportSession) progress(p *dncv1.ImportProgress) *dncv1.ImportRecordsResponse {
	return &dncv1.ImportRecordsResponse{Frame: &dncv1.ImportRecordsResponse_Progress{Progress: p}}
}

func (i *recordImportSession) header(h *dncv1.ImportRecordsHeader) (store.RecordsHeader, error) {
	out := store.RecordsHeader{
		ImportID: h.GetImportId(), Request: h.GetContext().GetRequestId(), Override: h.GetGuards().GetOverride(), DryRun: h.GetDryRun(),
	}
	if err := checkRecordsHeader(h); err != nil {
		return out, err
	}
	if err := checkImporter(callerOf(i.ctx), h); err != nil {
		return out, err
	}
	out.Consents, out.Lift = h.GetKind() == dncv1.RecordKind_RECORD_KIND_CONSENT, h.GetLiftOptOuts()
	guards, err := guardsOf(h.GetGuards())
	if err != nil {
		return out, err
	}
	out.MaxRejects = guards.MaxRejects
	if err := checkText(field{name: "request_id", value: out.Request, max: maxRequestID}); err != nil {
		return out, err
	}
	sources, err := sourcesOf(h.GetSources(), false)
	if err != nil {
		return out, err
	}
	rows, err := newRowReader(i.ctx, i.s.store, h)
	i.rows, out.Story = rows, rows.story
	out.Files, out.Reading = fileNames(sources), rows.reading(h.GetRegion())
	return out, err
}

// checkRecordsHeader refuses what no import of records has, and what this server does not support.
func checkRecordsHeader(h *dncv1.ImportRecordsHeader) error {
	switch {
	case h.GetKind() != dncv1.RecordKind_RECORD_KIND_OPT_OUT && h.GetKind() != dncv1.RecordKind_RECORD_KIND_CONSENT:
		return invalidField("kind", "must say what the rows are, such as opt-outs")
	case h.GetGuards() != nil && h.Guards.MaxShrinkRatio != nil:
		return invalidField("guards.max_shrink_ratio", "is for lists only: leave it out")
	case h.GetResume() && h.GetContext().GetRequestId() != "":
		return invalidField("context.request_id", "must be empty with resume, which finds the import by its files")
	}
	if h.GetKind() == dncv1.RecordKind_RECORD_KIND_CONSENT && h.FallbackScope != nil {
		return invalidField("fallback_scope", "is for opt-outs only: a consent that cannot be read in full is rejected")
	}
	if h.GetKind() == dncv1.RecordKind_RECORD_KIND_OPT_OUT && h.GetLiftOptOuts() {
		return invalidField("lift_opt_outs", "is for consents only: leave it out")
	}
	return nil
}

// checkImporter refuses consents of a caller that may only import opt-outs.
func checkImporter(caller *access.Grant, h *dncv1.ImportRecordsHeader) error {
	roles := access.RolesOf(access.Recorder, access.Officer)
	if h.GetLiftOptOuts() {
		roles = access.RolesOf(access.Officer)
	}
	if h.GetKind() != dncv1.RecordKind_RECORD_KIND_CONSENT || caller.Roles.Any(roles) {
		return nil
	}
	return denied("these consents need the role "+roles.String()).with("role", roles.String())
}

// put implements intake.
func (i *recordImportSession) put(c *dncv1.ImportChunk) (*dncv1.ImportAck, error) {
	chunk, ack, err := i.rows.read(c)
	if err != nil {
		return nil, err
	}
	return ack, i.imp.Put(chunk)
}

// commit implements intake.
func (i *recordImportSession) commit(ctx context.Context, c *dncv1.ImportCommit, progress func(store.Progress)) (*dncv1.ImportRecordsResponse, error) {
	if len(c.GetCoverage())+len(c.GetInferredCoverage()) > 0 {
		return nil, invalidField("coverage", "is for lists only: leave it out")
	}
	tallies, err := talliesOf(c.GetRejectTallies())
	if err != nil {
		return nil, err
	}
	sources, err := sourcesOf(c.GetSources(), true)
	if err != nil {
		return nil, err
	}
	result, err := i.imp.Commit(ctx, store.RecordsCommit{
		Chunks: c.GetChunks(), Read: c.GetRead(), Rejected: c.GetRejected(), Rejects: tallies, Sources: sources,
		CutFiles: c.GetTruncatedFiles(), Empty: c.GetEmpty(), FileRows: c.GetRows(), Digest: c.GetChunksDigest(),
	}, progress)
	if err != nil {
		return nil, err
	}
	if !result.Refused && !result.DryRun {
		i.s.logAct(i.ctx, "RecordService/ImportRecords", i.imp.ID())
	}
	return &dncv1.ImportRecordsResponse{Frame: &dncv1.ImportRecordsResponse_Result{Result: i.s.recordsResult(&result)}}, nil
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
		Position:      &dncv1.Position{Revision: r.Last, JournalId: r.JournalID, Tag: r.Tag},
		Elapsed:       durationpb.New(r.Elapsed),
	}
	if r.Last == 0 {
		m.Position = positionOf(s.store.View())
	}
	for i := range r.GuardFailures {
		m.GuardFailures = append(m.GuardFailures, guardFailure(&r.GuardFailures[i]))
	}
	for _, refused := range r.Refusals {
		m.Rejects = append(m.Rejects, &dncv1.RowReject{Seq: refused.Seq, Index: refused.Place, Error: itemError(refused.Err())})
	}
	return m
}
