package client

import (
	"cmp"
	"context"
	"encoding/hex"
	"iter"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// ImportRecord is one import, of a list, of opt-outs or of consents, as the journal has it. For an
// import of opt-outs or consents the list fields are zero.
type ImportRecord struct {
	ImportID string `json:"import_id"`
	List     string `json:"list"`
	ListID   string `json:"list_id"`
	// State is what became of it.
	State ImportState `json:"state"`
	// Mode is what the import did.
	Mode             ImportMode     `json:"mode"`
	Sources          []ImportSource `json:"sources"`
	SnapshotDate     string         `json:"snapshot_date"`
	RecordedBy       string         `json:"recorded_by"`
	RecordedByProven bool           `json:"recorded_by_proven"`
	StartedAt        time.Time      `json:"started_at"`
	EndedAt          time.Time      `json:"ended_at"`
	PreparedRevision uint64         `json:"prepared_revision"`
	// Revision from which it counts or was given up; 0: still running.
	Revision         uint64        `json:"revision"`
	Read             uint64        `json:"read"`
	Accepted         uint64        `json:"accepted"`
	Duplicates       uint64        `json:"duplicates"`
	Rejected         uint64        `json:"rejected"`
	RejectTallies    []RejectTally `json:"reject_tallies"`
	Added            uint64        `json:"added"`
	Removed          uint64        `json:"removed"`
	Numbers          uint64        `json:"numbers"`
	OverriddenGuards []Guard       `json:"overridden_guards"`
	RevertedTo       uint64        `json:"reverted_to" zero:"unset"`
	ContentSHA256    string        `json:"content_sha256"`
	Empty            uint64        `json:"empty"`
	Rows             uint64        `json:"rows" zero:"unset"`
	// OutsideJurisdiction is as in ImportResult.
	OutsideJurisdiction uint64 `json:"outside_jurisdiction"`
}

// ImportSource is a file that was read.
type ImportSource struct {
	// Name without directories. It must hold no phone number.
	Name string `json:"name"`
	// SHA256 of its content, unpacked, in hexadecimal; Size in bytes.
	SHA256 string `json:"sha256"`
	Size   uint64 `json:"size"`
	// Format is a value of the contract's ImportFormat: FTC, CSV, PLAIN ...
	Format string `json:"format"`
}

// RejectTally is how many entries were rejected for one reason.
type RejectTally struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// ImportHistory yields the loads of a list, newest first; of all lists, deleted ones
// too, and the imports of opt-outs and consents, when list is empty. An error is the last thing yielded.
func (c *Client) ImportHistory(ctx context.Context, list string) iter.Seq2[ImportRecord, error] {
	if list != "" {
		return c.listImports(ctx, list)
	}
	return newestFirst(c.listImports(ctx, ""), c.recordImports(ctx))
}

func (c *Client) listImports(ctx context.Context, list string) iter.Seq2[ImportRecord, error] {
	return pages(func(token string) ([]ImportRecord, string, error) {
		request := &dncv1.ListImportsRequest{List: list, PageSize: pageSize, PageToken: token}
		page, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListImportsResponse, error) {
			return on.lists.ListImports(ctx, request)
		})
		return each(page.GetImports(), fromListImport), page.GetNextPageToken(), err
	})
}

func (c *Client) recordImports(ctx context.Context) iter.Seq2[ImportRecord, error] {
	return pages(func(token string) ([]ImportRecord, string, error) {
		request := &dncv1.ListRecordImportsRequest{PageSize: pageSize, PageToken: token}
		page, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListRecordImportsResponse, error) {
			return on.records.ListRecordImports(ctx, request)
		})
		return each(page.GetImports(), fromRecordImport), page.GetNextPageToken(), err
	})
}

// pages yields what is on each page, from the first on.
func pages[T any](page func(token string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for token := ""; ; {
			items, next, err := page(token)
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// newestFirst merges two sequences of imports that are newest first.
func newestFirst(a, b iter.Seq2[ImportRecord, error]) iter.Seq2[ImportRecord, error] {
	return func(yield func(ImportRecord, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		other, err, more := next()
		for r, failed := range a {
			for more && (err != nil || failed == nil && other.began() > r.began()) {
				if !yield(other, err) || err != nil {
					return
				}
				other, err, more = next()
			}
			if !yield(r, failed) || failed != nil {
				return
			}
		}
		for more && yield(other, err) && err == nil {
			other, err, more = next()
		}
	}
}

// began is the revision by which imports are ordered.
func (r *ImportRecord) began() uint64 { return cmp.Or(r.PreparedRevision, r.Revision) }

func importOrNil(r *dncv1.ListImport) *ImportRecord {
	if r == nil {
		return nil
	}
	record := fromListImport(r)
	return &record
}

func fromListImport(r *dncv1.ListImport) ImportRecord {
	return ImportRecord{
		ImportID:         r.GetImportId(),
		List:             r.GetList(),
		ListID:           fromListID(r.GetListId()),
		State:            name[ImportState](r.GetState(), "LIST_IMPORT_STATE_"),
		Mode:             modeOf(r),
		Sources:          each(r.GetSources(), fromSource),
		SnapshotDate:     r.GetSnapshotDate(),
		RecordedBy:       r.GetRecordedBy(),
		RecordedByProven: r.GetRecordedByProven(),
		StartedAt:        fromTime(r.GetStartedAt()),
		EndedAt:          fromTime(r.GetEndedAt()),
		PreparedRevision: r.GetPreparedRevision(),
		Revision:         r.GetRevision(),
		Read:             r.GetRead(),
		Accepted:         r.GetAccepted(),
		Duplicates:       r.GetDuplicates(),
		Rejected:         r.GetRejected(),
		Empty:            r.GetEmpty(),
		Rows:             r.GetRows(),
		RejectTallies:    each(r.GetRejectTallies(), fromTally),
		Added:            r.GetAdded(),
		Removed:          r.GetRemoved(),
		Numbers:          r.GetNumbers(),
		OverriddenGuards: each(r.GetOverriddenGuards(), fromGuard),
		RevertedTo:       r.GetRevertedTo(),
		ContentSHA256:    hex.EncodeToString(r.GetContentSha256()),

		OutsideJurisdiction: r.GetOutsideJurisdiction(),
	}
}

// modeOf is the mode of a load, or its origin where no client sent it.
func modeOf(r *dncv1.ListImport) ImportMode {
	switch r.GetOrigin() {
	case dncv1.ImportOrigin_IMPORT_ORIGIN_REVERT, dncv1.ImportOrigin_IMPORT_ORIGIN_RELOAD, dncv1.ImportOrigin_IMPORT_ORIGIN_RESPELL:
		return name[ImportMode](r.GetOrigin(), "IMPORT_ORIGIN_")
	}
	return name[ImportMode](r.GetMode(), "IMPORT_MODE_")
}

func fromRecordImport(r *dncv1.RecordImport) ImportRecord {
	mode := ModeOptOuts
	if r.GetKind() == dncv1.RecordKind_RECORD_KIND_CONSENT {
		mode = ModeConsents
	}
	return ImportRecord{
		ImportID:         r.GetImportId(),
		State:            name[ImportState](r.GetState(), "RECORD_IMPORT_STATE_"),
		Mode:             mode,
		Sources:          each(r.GetSources(), fromSource),
		RecordedBy:       r.GetRecordedBy(),
		RecordedByProven: r.GetRecordedByProven(),
		StartedAt:        fromTime(r.GetStartedAt()),
		EndedAt:          fromTime(r.GetEndedAt()),
		Revision:         r.GetRevision(),
		Read:             r.GetRead(),
		Accepted:         r.GetAccepted(),
		Duplicates:       r.GetDuplicates(),
		Rejected:         r.GetRejected(),
		Empty:            r.GetEmpty(),
		Rows:             r.GetRows(),
		RejectTallies:    each(r.GetRejectTallies(), fromTally),
		OverriddenGuards: each(r.GetOverriddenGuards(), fromGuard),
	}
}

func fromSource(s *dncv1.ImportSource) ImportSource {
	return ImportSource{
		Name:   s.GetName(),
		SHA256: hex.EncodeToString(s.GetSha256()),
		Size:   s.GetSize(),
		Format: name[string](s.GetFormat(), "IMPORT_FORMAT_"),
	}
}

func toSources(sources []ImportSource) ([]*dncv1.ImportSource, error) {
	list := make([]*dncv1.ImportSource, len(sources))
	for i, s := range sources {
		sum, err := hex.DecodeString(s.SHA256)
		if err != nil {
			return nil, invalidField("sources", "a SHA-256 is not hexadecimal")
		}
		format, err := value[dncv1.ImportFormat](s.Format, "IMPORT_FORMAT_", dncv1.ImportFormat_value)
		if err != nil {
			return nil, err
		}
		list[i] = &dncv1.ImportSource{Name: s.Name, Sha256: sum, Size: s.Size, Format: format}
	}
	return list, nil
}

func fromTally(t *dncv1.RejectTally) RejectTally {
	return RejectTally{Reason: t.GetReason(), Count: t.GetCount()}
}

func toTally(t RejectTally) *dncv1.RejectTally {
	return &dncv1.RejectTally{Reason: t.Reason, Count: t.Count}
}

func fromGuard(g dncv1.ImportGuard) Guard { return name[Guard](g, "IMPORT_GUARD_") }
