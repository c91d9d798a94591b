package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

const (
	listImportsCall   = "ListImports"
	recordImportsCall = "ListRecordImports"
)

// ListImports implements dncv1.ListServiceServer.
func (s *listService) ListImports(ctx context.Context, req *dncv1.ListImportsRequest) (*dncv1.ListImportsResponse, error) {
	v := s.store.View()
	caller := callerOf(ctx)
	p := importsPage[*dncv1.ListImport]{call: listImportsCall, read: v.ListImports, message: importsOfLists(v, caller)}
	if req.GetList() != "" {
		l, err := s.findFor(v, caller, req.GetList())
		if err != nil {
			return nil, err
		}
		p.subject = fmt.Sprint(l.ID)
		p.read = func(before uint64, limit int) ([]store.ImportEntry, error) { return v.Imports(l.ID, before, limit) }
	}
	imports, next, err := p.page(&s.tokens, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &dncv1.ListImportsResponse{Imports: imports, NextPageToken: next, Position: positionOf(v)}, nil
}

// ListRecordImports implements dncv1.RecordServiceServer.
func (s *recordService) ListRecordImports(
	ctx context.Context, req *dncv1.ListRecordImportsRequest,
) (*dncv1.ListRecordImportsResponse, error) {
	v := s.store.View()
	p := importsPage[*dncv1.RecordImport]{
		call: recordImportsCall, read: v.RecordImports, message: importsBy(callerOf(ctx)),
	}
	imports, next, err := p.page(&s.tokens, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	return &dncv1.ListRecordImportsResponse{Imports: imports, NextPageToken: next, Position: positionOf(v)}, nil
}

// importsPage reads one page of imports.
type importsPage[M proto.Message] struct {
	call, subject string // page tokens are bound to both
	read          func(before uint64, limit int) ([]store.ImportEntry, error)
	message       func(*store.ImportEntry) (m M, shown bool) // what the caller may see of an import
}

// importsOfLists shows imports of lists that the caller may see. A caller bound to scopes does not see those of lists
// that were deleted.
func importsOfLists(v *store.View, caller *access.Grant) func(*store.ImportEntry) (*dncv1.ListImport, bool) {
	scopes := map[policy.EventID]policy.Scope{}
	for _, l := range v.Lists() {
		scopes[l.ID] = l.Scope
	}
	return func(e *store.ImportEntry) (*dncv1.ListImport, bool) {
		scope, found := scopes[e.List]
		return listImport(caller, scope, e), caller.Everywhere() || (found && caller.Sees(scope))
	}
}

// importsBy shows imports of records. They have no scope: a caller bound to scopes sees those that were made under its
// grant. Another may have had its name before.
func importsBy(caller *access.Grant) func(*store.ImportEntry) (*dncv1.RecordImport, bool) {
	return func(e *store.ImportEntry) (*dncv1.RecordImport, bool) {
		own := e.Story.Proven && e.Story.RecordedBy == caller.Name && e.Ended > caller.ID.Revision
		return recordImportMessage(e), caller.Everywhere() || own
	}
}

func (p *importsPage[M]) page(t *tokens, size uint32, token string) (page []M, next string, err error) {
	var before uint64
	if token != "" {
		cursor, err := t.read(token, p.call, p.subject)
		if err != nil {
			return nil, "", err
		}
		before = binary.BigEndian.Uint64(cursor)
	}
	entries, more, err := p.entries(before, pageSize(size))
	if err != nil {
		return nil, "", err
	}
	bytes := 0
	for i := range entries {
		m, shown := p.message(&entries[i])
		bytes += proto.Size(m)
		if i > 0 && bytes > pageBytes && entries[i].Prepared != entries[i-1].Prepared {
			entries, more = entries[:i], true
			break
		}
		if shown {
			page = append(page, m)
		}
	}
	if more {
		last := entries[len(entries)-1].Prepared
		next = t.make(p.call, p.subject, binary.BigEndian.AppendUint64(nil, last))
	}
	return page, next, nil
}

// entries reads a page and whether more entries follow. Imports that share a revision stay on one page, which may
// exceed its size for them: the next page begins before that revision.
func (p *importsPage[M]) entries(before uint64, size int) (page []store.ImportEntry, more bool, err error) {
	for limit := size + 1; ; limit *= 2 {
		found, err := p.read(before, limit)
		if err != nil || len(found) <= size {
			return found, false, err
		}
		end := size
		for end < len(found) && found[end].Prepared == found[size-1].Prepared {
			end++
		}
		if end < len(found) {
			return found[:end], true, nil
		}
		if len(found) < limit {
			return found, false, nil
		}
	}
}

// messageWithImports is a list on the wire, with its last finished load and the load that is running.
func (s *service) messageWithImports(v *store.View, caller *access.Grant, l *store.List) (*dncv1.List, error) {
	m := s.message(l)
	for e, err := range importsOf(v, l) {
		if err != nil {
			return nil, err
		}
		if e.State == store.ImportPrepared && e.Prepared == l.Pending {
			m.RunningImport = listImport(caller, l.Scope, e)
		}
		if isLast(e) {
			m.LastImport = listImport(caller, l.Scope, e)
			break
		}
	}
	return m, nil
}

// importsOf returns the imports of a list, the newest first.
func importsOf(v *store.View, l *store.List) iter.Seq2[*store.ImportEntry, error] {
	const some = 8
	return func(yield func(*store.ImportEntry, error) bool) {
		var before uint64
		for {
			entries, err := v.Imports(l.ID, before, some)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range entries {
				if !yield(&entries[i], nil) {
					return
				}
			}
			if len(entries) < some {
				return
			}
			before = entries[len(entries)-1].Prepared
		}
	}
}

// isLast reports whether an import is the one that made a list what it is, if it is the first such one of importsOf.
func isLast(e *store.ImportEntry) bool {
	return e.State == store.ImportSwitched || e.State == store.ImportConfirmed
}

var importStates = map[store.ImportState]dncv1.ListImportState{
	store.ImportPrepared:  dncv1.ListImportState_LIST_IMPORT_STATE_PREPARED,
	store.ImportSwitched:  dncv1.ListImportState_LIST_IMPORT_STATE_SWITCHED,
	store.ImportConfirmed: dncv1.ListImportState_LIST_IMPORT_STATE_CONFIRMED,
	store.ImportAbandoned: dncv1.ListImportState_LIST_IMPORT_STATE_ABANDONED,
}

var importModes = map[store.Mode]dncv1.ImportMode{
	store.Replace: dncv1.ImportMode_IMPORT_MODE_REPLACE,
	store.Add:     dncv1.ImportMode_IMPORT_MODE_ADD,
	store.Remove:  dncv1.ImportMode_IMPORT_MODE_REMOVE,
	store.Delta:   dncv1.ImportMode_IMPORT_MODE_DELTA,
}

func originOf(m store.Mode) dncv1.ImportOrigin {
	switch m {
	case store.Revert:
		return dncv1.ImportOrigin_IMPORT_ORIGIN_REVERT
	case store.Reload:
		return dncv1.ImportOrigin_IMPORT_ORIGIN_RELOAD
	case store.Respell:
		return dncv1.ImportOrigin_IMPORT_ORIGIN_RESPELL
	}
	return dncv1.ImportOrigin_IMPORT_ORIGIN_UPLOAD
}

// listImport is an import of a list at scope on the wire. Who made it, from which files, is not shown to a caller that
// does not hold the scope.
func listImport(caller *access.Grant, scope policy.Scope, e *store.ImportEntry) *dncv1.ListImport {
	m := &dncv1.ListImport{
		ImportId:         e.ImportID,
		List:             e.ListName,
		ListId:           eventID(e.List),
		State:            importStates[e.State],
		Origin:           originOf(e.Mode),
		Mode:             importModes[e.Mode],
		Sources:          sourceMessages(e.Sources),
		SnapshotDate:     e.SnapshotDate.String(),
		RecordedBy:       e.Story.RecordedBy,
		RecordedByProven: e.Story.Proven,
		StartedAt:        stamp(e.StartedAt),
		EndedAt:          stamp(e.EndedAt),
		PreparedRevision: preparedRevision(e),
		Revision:         e.Ended,
		Read:             e.Counts.Read,
		Accepted:         e.Counts.Accepted,
		Duplicates:       e.Counts.Duplicates,
		Rejected:         e.Counts.Rejected,
		Empty:            e.Counts.Empty,
		Rows:             e.Counts.Rows,
		RejectTallies:    tallyMessages(e.Rejects),
		Added:            e.Counts.Added,
		Removed:          e.Counts.Removed,
		Numbers:          e.Numbers,
		OverriddenGuards: guardMessages(e.Overridden),
		RevertedTo:       e.RevertedTo,
		ContentSha256:    e.ContentSHA256,

		OutsideJurisdiction: e.Outside,
	}
	if !caller.Holds(scope) {
		m.Sources, m.RecordedBy, m.RecordedByProven = nil, "", false
	}
	return m
}

// recordImportMessage is an import of opt-outs. The journal names an import once all its rows are recorded.
func recordImportMessage(e *store.ImportEntry) *dncv1.RecordImport {
	kind := dncv1.RecordKind_RECORD_KIND_OPT_OUT
	if e.Mode == store.Consents {
		kind = dncv1.RecordKind_RECORD_KIND_CONSENT
	}
	return &dncv1.RecordImport{
		ImportId:         e.ImportID,
		Kind:             kind,
		State:            dncv1.RecordImportState_RECORD_IMPORT_STATE_RECORDED,
		Sources:          sourceMessages(e.Sources),
		RecordedBy:       e.Story.RecordedBy,
		RecordedByProven: e.Story.Proven,
		StartedAt:        stamp(e.StartedAt),
		EndedAt:          stamp(e.EndedAt),
		Revision:         e.Ended,
		Read:             e.Counts.Read,
		Accepted:         e.Counts.Accepted,
		Duplicates:       e.Counts.Duplicates,
		Rejected:         e.Counts.Rejected,
		Empty:            e.Counts.Empty,
		Rows:             e.Counts.Rows,
		RejectTallies:    tallyMessages(e.Rejects),
		OverriddenGuards: guardMessages(e.Overridden),
	}
}

func sourceMessages(sources []store.Source) []*dncv1.ImportSource {
	out := make([]*dncv1.ImportSource, 0, len(sources))
	for _, src := range sources {
		out = append(out, &dncv1.ImportSource{
			Name: src.Name, Sha256: src.SHA256[:], Size: src.Size, Format: dncv1.ImportFormat(src.Format),
		})
	}
	return out
}

func tallyMessages(tallies []store.RejectTally) []*dncv1.RejectTally {
	out := make([]*dncv1.RejectTally, 0, len(tallies))
	for _, t := range tallies {
		out = append(out, &dncv1.RejectTally{Reason: t.Reason, Count: t.Count})
	}
	return out
}

func guardMessages(failures []store.GuardFailure) []dncv1.ImportGuard {
	out := make([]dncv1.ImportGuard, 0, len(failures))
	for _, f := range failures {
		out = append(out, guardsByStore[f.Guard])
	}
	return out
}

// preparedRevision is the revision of a load that has content of its own.
func preparedRevision(e *store.ImportEntry) uint64 {
	if e.State == store.ImportConfirmed {
		return 0
	}
	return e.Prepared
}
