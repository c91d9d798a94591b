package server

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"

	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type importStream = grpc.BidiStreamingServer[dncv1.ImportRequest, dncv1.ImportResponse]

// Import implements dncv1.ListServiceServer.
func (s *listService) Import(stream importStream) error {
	u := newUpload(&s.service, stream, intake[dncv1.ImportRequest, dncv1.ImportResponse](&importSession{s: s, ctx: stream.Context()}))
	var committed bool
	var err error
	nice.Do(func() { committed, err = u.run() }) // checks take precedence
	if committed || err != nil {
		s.metrics.wrote(writeLoad, false, err)
	}
	return err
}

// importSession handles the stream of an import of a list.
type importSession struct {
	s      *listService
	ctx    context.Context // of the stream
	header *dncv1.ImportHeader
	imp    *store.Import
	buffer []uint64 // the numbers of a chunk
	came   []uint64 // and the values as they came
}

// begin implements intake.
func (i *importSession) begin(req *dncv1.ImportRequest) (staged, error) {
	if i.header = req.GetHeader(); i.header == nil {
		return nil, errHeaderMissing()
	}
	h, err := i.storeHeader()
	if err != nil {
		return nil, aboutList(i.header.GetList(), err)
	}
	if i.header.GetResume() && h.ImportID == "" {
		i.imp, err = resumed(i.ctx, &i.s.service, h, i.s.store.ResumeImport)
	} else {
		i.imp, err = i.s.store.BeginImport(h)
	}
	if err != nil {
		return nil, aboutList(i.header.GetList(), err)
	}
	return i.imp, nil
}

// opened implements intake.
func (i *importSession) opened(o *dncv1.ImportOpened) *dncv1.ImportResponse {
	return &dncv1.ImportResponse{Frame: &dncv1.ImportResponse_Opened{Opened: o}}
}

// acked implements intake.
func (i *importSession) acked(a *dncv1.ImportAck) *dncv1.ImportResponse {
	return &dncv1.ImportResponse{Frame: &dncv1.ImportResponse_Ack{Ack: a}}
}

// progress implements intake.
func (i *importSession) progress(p *dncv1.ImportProgress) *dncv1.ImportResponse {
	return &dncv1.ImportResponse{Frame: &dncv1.ImportResponse_Progress{Progress: p}}
}

var modes = map[dncv1.ImportMode]store.Mode{
	dncv1.ImportMode_IMPORT_MODE_UNSPECIFIED: store.Replace,
	dncv1.ImportMode_IMPORT_MODE_REPLACE:     store.Replace,
	dncv1.ImportMode_IMPORT_MODE_ADD:         store.Add,
	dncv1.ImportMode_IMPORT_MODE_REMOVE:      store.Remove,
	dncv1.ImportMode_IMPORT_MODE_DELTA:       store.Delta,
}

func (i *importSession) storeHeader() (store.Header, error) {
	l, err := i.s.findHeld(i.ctx, i.s.store.View(), i.header.GetList())
	if err != nil {
		return store.Header{}, err
	}
	mode, err := modeOf(i.header.GetMode())
	if err != nil {
		return store.Header{}, err
	}
	guards, err := guardsOf(i.header.GetGuards())
	if err != nil {
		return store.Header{}, err
	}
	sources, err := sourcesOf(i.header.GetSources(), false)
	if err != nil {
		return store.Header{}, err
	}
	date, err := policy.ParseDate(i.header.GetSnapshotDate())
	if err != nil {
		return store.Header{}, refuse(dncv1.ErrorReason_ERROR_REASON_SNAPSHOT_DATE_INVALID, err.Error(), "field", "snapshot_date")
	}
	if err := i.s.store.CheckDate(l.Name, mode, date); err != nil {
		return store.Header{}, err
	}
	if i.header.GetResume() && i.header.GetContext().GetRequestId() != "" {
		return store.Header{}, invalidField("context.request_id", "must be empty with resume, which finds the import by its list and files")
	}
	by, err := i.s.request(i.ctx, i.header.GetContext(), store.Story{})
	return store.Header{
		List:     l.Name,
		ListID:   l.ID,
		Mode:     mode,
		ImportID: i.header.GetImportId(),
		Guards:   guards,
		DryRun:   i.header.GetDryRun(),
		Override: i.header.GetGuards().GetOverride(),
		TakeOver: i.header.GetTakeOver(),
		Request:  by,

		SnapshotDate: date,
		Files:        fileNames(sources),
	}, err
}

func modeOf(m dncv1.ImportMode) (store.Mode, error) {
	if mode, ok := modes[m]; ok {
		return mode, nil
	}
	return 0, invalidField("mode", "must be replace, add, remove or delta")
}

// Limits of guards that a header leaves unset.
const (
	defaultShrink  = 0.1
	defaultRejects = 0.01
)

func guardsOf(g *dncv1.ImportGuards) (store.Guards, error) {
	out := store.Guards{MaxShrink: defaultShrink, MaxRejects: defaultRejects}
	if g != nil && g.MaxShrinkRatio != nil {
		out.MaxShrink = g.GetMaxShrinkRatio()
	}
	if g != nil && g.MaxRejectRatio != nil {
		out.MaxRejects = g.GetMaxRejectRatio()
	}
	if !(out.MaxShrink >= 0 && out.MaxShrink <= 1) {
		return out, invalidField("guards.max_shrink_ratio", "must be 0 to 1")
	}
	if !(out.MaxRejects >= 0 && out.MaxRejects <= 1) {
		return out, invalidField("guards.max_reject_ratio", "must be 0 to 1")
	}
	return out, nil
}

// Limits of the description of files.
const (
	maxSources    = 1000
	maxSourceName = 255
	maxTallies    = 100
	maxTallyText  = 128
)

// sourcesOf reads the files. With hashed it requires their hashes too.
func sourcesOf(sources []*dncv1.ImportSource, hashed bool) ([]store.Source, error) {
	if len(sources) > maxSources {
		return nil, invalidField("sources", fmt.Sprintf("holds more than %d files: load them in several imports", maxSources))
	}
	out := make([]store.Source, 0, len(sources))
	for _, src := range sources {
		if err := checkText(field{name: "sources.name", value: src.GetName(), max: maxSourceName}); err != nil {
			return nil, err
		}
		if strings.ContainsAny(src.GetName(), `/\`) {
			return nil, invalidField("sources.name", "must be a file's base name, without directories")
		}
		s := store.Source{Name: src.GetName(), Size: src.GetSize(), Format: uint32(src.GetFormat())}
		if n := len(src.GetSha256()); n != len(s.SHA256) && (hashed || n != 0) {
			return nil, invalidField("sources.sha256", "must be the 32 bytes of a SHA-256")
		}
		copy(s.SHA256[:], src.GetSha256())
		out = append(out, s)
	}
	return out, nil
}

func fileNames(sources []store.Source) []string {
	names := make([]string, 0, len(sources))
	for _, s := range sources {
		names = append(names, s.Name)
	}
	return names
}

// commit implements intake.
func (i *importSession) commit(ctx context.Context, req *dncv1.ImportCommit, progress func(store.Progress)) (*dncv1.ImportResponse, error) {
	c, err := i.storeCommit(req)
	if err != nil {
		return nil, err
	}
	result, err := i.imp.Commit(ctx, c, progress)
	if err != nil {
		return nil, aboutList(i.header.GetList(), err)
	}
	if !result.Refused && !result.DryRun {
		i.s.logAct(i.ctx, "ListService/Import", strings.ToLower(i.header.GetList()))
	}
	return &dncv1.ImportResponse{Frame: &dncv1.ImportResponse_Result{Result: resultMessage(&result)}}, nil
}

func (i *importSession) storeCommit(req *dncv1.ImportCommit) (store.Commit, error) {
	sources, err := sourcesOf(req.GetSources(), true)
	if err != nil {
		return store.Commit{}, err
	}
	tallies, err := talliesOf(req.GetRejectTallies())
	if err != nil {
		return store.Commit{}, err
	}
	if len(req.GetCoverage()) > store.MaxCoverage {
		return store.Commit{}, invalidField("coverage", fmt.Sprintf("holds more than %d prefixes", store.MaxCoverage))
	}
	if len(req.GetInferredCoverage()) > len(req.GetCoverage()) {
		return store.Commit{}, invalidField("inferred_coverage", "must be some of coverage")
	}
	date, err := policy.ParseDate(i.header.GetSnapshotDate())
	if err != nil {
		return store.Commit{}, err
	}
	return store.Commit{
		Chunks:       req.GetChunks(),
		Read:         req.GetRead(),
		Rejected:     req.GetRejected(),
		Empty:        req.GetEmpty(),
		Rows:         req.GetRows(),
		Rejects:      tallies,
		Sources:      sources,
		SnapshotDate: date,
		FileCoverage: req.GetCoverage(),
		Inferred:     req.GetInferredCoverage(),
		Digest:       req.GetChunksDigest(),
		CutFiles:     req.GetTruncatedFiles(),
	}, nil
}

// talliesOf reads how many entries the client rejected, by reason.
func talliesOf(tallies []*dncv1.RejectTally) ([]store.RejectTally, error) {
	if len(tallies) > maxTallies {
		return nil, invalidField("reject_tallies", fmt.Sprintf("holds more than %d reasons", maxTallies))
	}
	out := make([]store.RejectTally, 0, len(tallies))
	for _, t := range tallies {
		if err := checkText(field{name: "reject_tallies.reason", value: t.GetReason(), max: maxTallyText}); err != nil {
			return nil, err
		}
		out = append(out, store.RejectTally{Reason: t.GetReason(), Count: t.GetCount()})
	}
	return out, nil
}
