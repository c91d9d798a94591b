package server

import (
	"context"
	"encoding/binary"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

const importsCall = "ListImports"

// ListImports implements dncv1.ListServiceServer.
func (s *listService) ListImports(_ context.Context, req *dncv1.ListImportsRequest) (*dncv1.ListImportsResponse, error) {
	v := s.store.View()
	var id policy.EventID // of every list
	if req.GetList() != "" {
		_, l, err := s.find(req.GetList())
		if err != nil {
			return nil, err
		}
		id = l.ID
	}
	var before uint64
	if req.GetPageToken() != "" {
		cursor, err := s.tokens.read(req.GetPageToken(), importsCall, listID(id))
		if err != nil {
			return nil, err
		}
		before = binary.BigEndian.Uint64(cursor)
	}
	entries, more, err := importsPage(v, id, before, pageSize(req.GetPageSize()))
	if err != nil {
		return nil, err
	}
	resp := &dncv1.ListImportsResponse{Revision: v.Revision(), JournalId: v.JournalID()}
	bytes := 0
	for i := range entries {
		m := importRecord(&entries[i])
		bytes += proto.Size(m)
		if i > 0 && bytes > pageBytes && entries[i].Prepared != entries[i-1].Prepared {
			entries, more = entries[:i], true
			break
		}
		resp.Imports = append(resp.Imports, m)
	}
	if more {
		last := entries[len(entries)-1].Prepared
		resp.NextPageToken = s.tokens.make(importsCall, listID(id), binary.BigEndian.AppendUint64(nil, last))
	}
	return resp, nil
}

// importsPage reads a page of loads and whether others follow. Loads of several lists that share a revision stay on one
// page, which may grow past its size for them: the next one begins before that revision.
func importsPage(v *store.View, id policy.EventID, before uint64, size int) (page []store.ImportEntry, more bool, err error) {
	for limit := size + 1; ; limit *= 2 {
		found, err := v.Imports(id, before, limit)
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

// messageWithImports is a list on the wire with its last finished load and the one that is running.
func (s *service) messageWithImports(v *store.View, l *store.List) (*dncv1.List, error) {
	const some = 8
	m := s.message(l)
	var before uint64
	for {
		entries, err := v.Imports(l.ID, before, some)
		if err != nil {
			return nil, err
		}
		for i := range entries {
			e := &entries[i]
			switch e.State {
			case store.ImportPrepared:
				if e.Prepared == l.Pending {
					m.RunningImport = importRecord(e)
				}
			case store.ImportSwitched, store.ImportConfirmed:
				m.LastImport = importRecord(e)
				return m, nil
			}
		}
		if len(entries) < some {
			return m, nil
		}
		before = entries[len(entries)-1].Prepared
	}
}

var importStates = map[store.ImportState]dncv1.ImportState{
	store.ImportPrepared:  dncv1.ImportState_IMPORT_STATE_PREPARED,
	store.ImportSwitched:  dncv1.ImportState_IMPORT_STATE_SWITCHED,
	store.ImportConfirmed: dncv1.ImportState_IMPORT_STATE_CONFIRMED,
	store.ImportAbandoned: dncv1.ImportState_IMPORT_STATE_ABANDONED,
	store.ImportRecorded:  dncv1.ImportState_IMPORT_STATE_RECORDED,
}

var importModes = map[store.Mode]dncv1.ImportMode{
	store.Replace: dncv1.ImportMode_IMPORT_MODE_REPLACE,
	store.Add:     dncv1.ImportMode_IMPORT_MODE_ADD,
	store.Remove:  dncv1.ImportMode_IMPORT_MODE_REMOVE,
	store.Delta:   dncv1.ImportMode_IMPORT_MODE_DELTA,
	store.Revert:  dncv1.ImportMode_IMPORT_MODE_REVERT,
	store.Reload:  dncv1.ImportMode_IMPORT_MODE_RELOAD,
	store.OptOuts: dncv1.ImportMode_IMPORT_MODE_OPT_OUTS,
}

func importRecord(e *store.ImportEntry) *dncv1.ImportRecord {
	m := &dncv1.ImportRecord{
		ImportId:         e.ImportID,
		List:             e.ListName,
		State:            importStates[e.State],
		Mode:             importModes[e.Mode],
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
		Added:            e.Counts.Added,
		Removed:          e.Counts.Removed,
		Numbers:          e.Numbers,
		ContentSha256:    e.ContentSHA256,
		RevertedTo:       e.RevertedTo,

		OutsideJurisdiction: e.Outside,
	}
	if e.List != (policy.EventID{}) {
		m.ListId = listID(e.List)
	}
	for _, src := range e.Sources {
		m.Sources = append(m.Sources, &dncv1.ImportSource{
			Name: src.Name, Sha256: src.SHA256[:], Size: src.Size, Format: dncv1.ImportFormat(src.Format),
		})
	}
	for _, t := range e.Rejects {
		m.RejectTallies = append(m.RejectTallies, &dncv1.RejectTally{Reason: t.Reason, Count: t.Count})
	}
	for _, g := range e.Overridden {
		m.OverriddenGuards = append(m.OverriddenGuards, guardsByStore[g.Guard])
	}
	return m
}

// preparedRevision is that of a load with content of its own.
func preparedRevision(e *store.ImportEntry) uint64 {
	if e.State == store.ImportConfirmed || e.State == store.ImportRecorded {
		return 0
	}
	return e.Prepared
}
