package server

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// maxChunkRows is how many rows a chunk of records may hold.
const maxChunkRows = 10_000

// rowReader reads the rows of an import of opt-outs.
type rowReader struct {
	store  *store.Store
	story  store.Story // who records
	region phone.Region

	// What was read last: the rows of a file hardly differ in these.
	code    string
	regions phone.Region
	path    string
	scope   policy.Scope
}

func newRowReader(ctx context.Context, s *store.Store, h *dncv1.ImportRecordsHeader) (rowReader, error) {
	r := rowReader{store: s}
	if err := recorder(ctx, h.GetRecordedBy(), &r.story); err != nil {
		return r, err
	}
	var err error
	r.region, err = parseRegion(h.GetRegion())
	return r, err
}

// read divides a chunk into rows to stage and rejects.
func (r *rowReader) read(c *dncv1.ImportRecordsChunk) (store.RowChunk, []*dncv1.ImportReject, error) {
	out := store.RowChunk{Seq: c.GetSeq()}
	if err := checkRecordsChunk(c); err != nil {
		return out, nil, err
	}
	out.Rows = make([]store.OptOutRow, 0, len(c.GetRows()))
	var rejects []*dncv1.ImportReject
	now := r.store.Now()
	for i, m := range c.GetRows() {
		row, err := r.row(m, now)
		if err != nil {
			e := itemError(err)
			if len(rejects) >= toldRejects {
				e.Message = ""
			}
			rejects = append(rejects, &dncv1.ImportReject{Index: uint32(i), Error: e})
			out.Refused = append(out.Refused, uint32(i))
			continue
		}
		out.Rows = append(out.Rows, row)
	}
	return out, rejects, nil
}

func checkRecordsChunk(c *dncv1.ImportRecordsChunk) error {
	if c.GetSeq() == 0 {
		return chunkInvalid("seq is missing: number the chunks from 1")
	}
	if n := len(c.GetRows()); n > maxChunkRows {
		return chunkInvalid(fmt.Sprintf("a chunk holds at most %d rows: send smaller ones", maxChunkRows)).
			with("limit", fmt.Sprint(maxChunkRows)).with("actual", fmt.Sprint(n))
	}
	if n := proto.Size(c); n > maxChunkBytes {
		return chunkInvalid(fmt.Sprintf("a chunk holds at most %d KiB: send smaller ones", maxChunkBytes>>10)).
			with("limit", fmt.Sprint(maxChunkBytes)).with("actual", fmt.Sprint(n))
	}
	return nil
}

// row is what one row records.
func (r *rowReader) row(m *dncv1.RecordRow, now time.Time) (store.OptOutRow, error) {
	out := store.OptOutRow{Story: r.story}
	if m.GetConsentKind() != dncv1.ConsentKind_CONSENT_KIND_UNSPECIFIED {
		return out, invalidField("consent_kind", "belongs to consents alone")
	}
	region, err := r.regionOf(m.GetRegion())
	if err != nil {
		return out, err
	}
	if out.Number, err = parseNumber(m.GetNumber(), region); err != nil {
		return out, err
	}
	out.Channel = policy.Channel(m.GetChannel())
	if err := knownEnum("channel", int32(m.GetChannel()), dncv1.Channel_name); err != nil {
		return out, err
	}
	if out.Scope, err = r.scopeOf(m.GetScope()); err != nil {
		return out, err
	}
	if out.ReceivedAt, err = timeOf("received_at", m.GetReceivedAt()); err != nil {
		return out, err
	}
	if out.ExpiresAt, err = timeOf("expires_at", m.GetExpiresAt()); err != nil {
		return out, err
	}
	if err := checkTimes(out.OptOut, now); err != nil {
		return out, err
	}
	out.Story.Desk, out.Story.Evidence, out.Story.Note = m.GetDesk(), m.GetEvidence(), m.GetNote()
	return out, checkText(
		field{name: "desk", value: out.Story.Desk, max: maxDesk},
		field{name: "evidence", value: out.Story.Evidence, max: maxEvidence},
		field{name: "note", value: out.Story.Note, max: maxNote, lines: true},
	)
}

func (r *rowReader) regionOf(code string) (phone.Region, error) {
	if code == "" {
		return r.region, nil
	}
	if code != r.code {
		region, err := parseRegion(code)
		if err != nil {
			return 0, err
		}
		r.code, r.regions = code, region
	}
	return r.regions, nil
}

func (r *rowReader) scopeOf(path string) (policy.Scope, error) {
	if path != r.path {
		scope, err := scopeOf(path)
		if err != nil {
			return "", err
		}
		r.path, r.scope = path, scope
	}
	return r.scope, nil
}
