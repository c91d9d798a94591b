package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/gentle"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type importStream = grpc.BidiStreamingServer[dncv1.ImportRequest, dncv1.ImportResponse]

// Import implements dncv1.ListServiceServer.
func (s *listService) Import(stream importStream) error {
	l := &load{s: s, stream: stream, frames: receive(stream, fresh[dncv1.ImportRequest])}
	var committed bool
	var err error
	gentle.Do(func() { committed, err = l.run() }) // checks go first
	if committed || err != nil {
		s.metrics.wrote(writeLoad, false, err)
	}
	return err
}

// load is one stream of an import.
type load struct {
	s      *listService
	stream importStream
	frames <-chan frame[dncv1.ImportRequest]
	by     store.Request
	header *dncv1.ImportHeader
	imp    *store.Import
	buffer []uint64           // the numbers of a chunk
	came   []uint64           // and what it held
	acks   []*dncv1.ImportAck // of chunks that are not durable yet
}

// next is the next frame; io.EOF when the client has sent all.
func (l *load) next() (*dncv1.ImportRequest, error) {
	return nextFrame(l.stream.Context(), l.frames, l.s.draining)
}

func (l *load) run() (committed bool, err error) {
	req, err := l.next()
	if errors.Is(err, io.EOF) {
		return false, invalidField("frame", "is missing: begin with a header")
	}
	if err != nil {
		return false, err
	}
	if l.header = req.GetHeader(); l.header == nil {
		return false, invalidField("frame", "must be a header first")
	}
	if err := l.begin(); err != nil {
		return false, l.s.aboutList(l.header.GetList(), err)
	}
	defer l.imp.Close()
	if err := l.opened(); err != nil {
		return false, err
	}
	return l.take()
}

func (l *load) begin() error {
	h, err := l.storeHeader()
	if err != nil {
		return err
	}
	if l.header.GetResume() && h.ImportID == "" {
		return l.resume(h)
	}
	l.imp, err = l.s.store.BeginImport(h)
	return err
}

// resume goes on with the import of an earlier client. It may wait for that client's end.
func (l *load) resume(h store.Header) (err error) {
	ctx, cancel := until(l.stream.Context(), l.s.draining)
	defer cancel()
	l.imp, err = l.s.store.ResumeImport(ctx, h)
	if err != nil && ctx.Err() != nil && l.stream.Context().Err() == nil {
		err = store.ErrClosed
	}
	return err
}

// toldChunks is how many hashes of staged chunks go with the answer to a header: 2 MiB.
const toldChunks = 128 << 10

func (l *load) opened() error {
	opened := &dncv1.ImportOpened{
		ImportId:  l.imp.ID(),
		LastChunk: l.imp.LastChunk(),
		Committed: l.imp.Committed(),
		IdleLimit: durationpb.New(loadIdle),
	}
	hashes := l.imp.ChunkHashes()
	opened.ChunkHashes = chunkhash.Join(hashes[:min(toldChunks, len(hashes))])
	for _, chunk := range l.imp.ChunksWithRejects() {
		if chunk <= toldChunks {
			opened.RejectedChunks = append(opened.RejectedChunks, chunk)
		}
	}
	return l.send(&dncv1.ImportResponse{Frame: &dncv1.ImportResponse_Opened{Opened: opened}})
}

// take stages chunks until the commit, or until the client goes: what is staged stays for a resume.
func (l *load) take() (committed bool, err error) {
	for {
		req, err := l.next()
		if errors.Is(err, io.EOF) {
			return false, withImport(cmp.Or(l.ack(), errNotCommitted()), l.imp.ID())
		}
		if err != nil {
			return false, err
		}
		switch f := req.GetFrame().(type) {
		case *dncv1.ImportRequest_Chunk:
			err = l.chunk(f.Chunk)
		case *dncv1.ImportRequest_Commit:
			if err = l.ack(); err == nil {
				return true, l.commit(f.Commit)
			}
		default:
			err = keepsOpen(req)
		}
		if err != nil {
			return false, withImport(err, l.imp.ID())
		}
	}
}

// errNotCommitted is how an import ends whose client ends the stream too early.
func errNotCommitted() error {
	return refuse(dncv1.ErrorReason_ERROR_REASON_IMPORT_NOT_COMMITTED,
		"the stream ended before the commit: nothing was loaded; continue with the import_id and send the commit, or leave it: what was sent is deleted after 24 hours")
}

func withImport(err error, id string) error { return faultOf(err).with("import_id", id) }

func (l *load) send(resp *dncv1.ImportResponse) error { return l.stream.Send(resp) }

var modes = map[dncv1.ImportMode]store.Mode{
	dncv1.ImportMode_IMPORT_MODE_UNSPECIFIED: store.Replace,
	dncv1.ImportMode_IMPORT_MODE_REPLACE:     store.Replace,
	dncv1.ImportMode_IMPORT_MODE_ADD:         store.Add,
	dncv1.ImportMode_IMPORT_MODE_REMOVE:      store.Remove,
	dncv1.ImportMode_IMPORT_MODE_DELTA:       store.Delta,
}

// storeHeader checks the header, and what can be known already of the load's date: better now than after the upload.
func (l *load) storeHeader() (store.Header, error) {
	name, err := listName(l.header.GetList())
	if err != nil {
		return store.Header{}, err
	}
	mode, err := modeOf(l.header.GetMode())
	if err != nil {
		return store.Header{}, err
	}
	guards, err := guardsOf(l.header.GetGuards())
	if err != nil {
		return store.Header{}, err
	}
	sources, err := sourcesOf(l.header.GetSources(), false)
	if err != nil {
		return store.Header{}, err
	}
	date, err := l.date(name, mode)
	if err != nil {
		return store.Header{}, err
	}
	if l.header.GetResume() && l.header.GetContext().GetRequestId() != "" {
		return store.Header{}, invalidField("context.request_id", "must be empty with resume, which finds the import by its list and files")
	}
	l.by, err = l.s.request(l.stream.Context(), l.header.GetContext(), store.Story{})
	return store.Header{
		List:     name,
		Mode:     mode,
		ImportID: l.header.GetImportId(),
		Guards:   guards,
		DryRun:   l.header.GetDryRun(),
		Override: l.header.GetGuards().GetOverride(),
		TakeOver: l.header.GetTakeOver(),
		Request:  l.by,

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

// date is the load's, refused when it is none, or lies ahead, or is missing where the list's age counts.
func (l *load) date(name string, mode store.Mode) (policy.Date, error) {
	date, err := policy.ParseDate(l.header.GetSnapshotDate())
	if err != nil {
		return 0, refuse(dncv1.ErrorReason_ERROR_REASON_SNAPSHOT_DATE_INVALID, err.Error(), "field", "snapshot_date")
	}
	if date > policy.DateOf(l.s.store.Now())+1 {
		return 0, refuse(dncv1.ErrorReason_ERROR_REASON_SNAPSHOT_DATE_INVALID,
			"the snapshot date is more than a day ahead: give the date of the registry's file", "field", "snapshot_date")
	}
	list, err := l.s.store.View().List(name)
	if err != nil {
		return 0, err
	}
	if date == 0 && list.MaxAgeDays > 0 && (mode == store.Replace || mode == store.Delta || !list.Loaded) {
		return 0, refuse(dncv1.ErrorReason_ERROR_REASON_SNAPSHOT_DATE_REQUIRED,
			"the list has a max age: give the date of the registry's file, never the day of the load", "field", "snapshot_date")
	}
	return date, nil
}

// Guards that a header leaves unset.
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

// Limits of what tells about files.
const (
	maxSources    = 1000
	maxSourceName = 255
	maxTallies    = 100
	maxTallyText  = 128
)

// sourcesOf reads the files; hashed asks for their hashes too.
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

// commit ends the load and tells the client how far it is meanwhile.
func (l *load) commit(req *dncv1.ImportCommit) error {
	c, err := l.storeCommit(req)
	if err != nil {
		return err
	}
	ctx, cancel := l.s.untilStopping(l.stream.Context())
	defer cancel()
	told := &progress{stream: l.stream}
	if l.imp.Committed() { // compared before
		told.phase = dncv1.ImportPhase_IMPORT_PHASE_WRITING
	}
	result, err := l.imp.Commit(ctx, c, told.report)
	if err != nil {
		if ctx.Err() != nil && l.stream.Context().Err() == nil {
			err = store.ErrClosed // the load itself goes on, after a restart if need be
		}
		return withImport(l.s.aboutList(l.header.GetList(), err), l.imp.ID())
	}
	return l.send(&dncv1.ImportResponse{Frame: &dncv1.ImportResponse_Result{Result: resultMessage(&result)}})
}

func (l *load) storeCommit(req *dncv1.ImportCommit) (store.Commit, error) {
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
	date, err := policy.ParseDate(l.header.GetSnapshotDate())
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

// talliesOf reads how many entries the client rejected for what.
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

// progress tells the client how far a load is, now and then.
type progress struct {
	stream importStream
	last   time.Time
	done   uint64
	total  uint64
	phase  dncv1.ImportPhase
	failed bool
}

const progressEvery = 500 * time.Millisecond

// report is called with the numbers compared, then, with another total or from the start again, written. A new phase is
// told at once.
func (p *progress) report(done, total uint64) {
	phase := p.next(done, total)
	now := time.Now()
	if p.failed || (phase == p.phase && now.Sub(p.last) < progressEvery) {
		p.done, p.total = done, total
		return
	}
	p.phase, p.done, p.total = phase, done, total
	p.last = now
	err := p.stream.Send(&dncv1.ImportResponse{Frame: &dncv1.ImportResponse_Progress{Progress: &dncv1.ImportProgress{
		Phase: p.phase,
		Done:  done,
		Total: total,
	}}})
	p.failed = err != nil
}

// next is the phase after p that these numbers tell of.
func (p *progress) next(done, total uint64) dncv1.ImportPhase {
	switch {
	case p.phase == dncv1.ImportPhase_IMPORT_PHASE_UNSPECIFIED:
		return dncv1.ImportPhase_IMPORT_PHASE_COMPARING
	case p.phase == dncv1.ImportPhase_IMPORT_PHASE_COMPARING && (done < p.done || total != p.total):
		return dncv1.ImportPhase_IMPORT_PHASE_WRITING
	case p.phase == dncv1.ImportPhase_IMPORT_PHASE_WRITING && done == total:
		return dncv1.ImportPhase_IMPORT_PHASE_SWITCHING
	}
	return p.phase
}
