package server

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/chunkhash"
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
	mends  bool         // what cannot be read beside the number is left out
	wide   policy.Scope // instead of one that cannot be read
	left   []error      // out of the row at hand

	// What was read last: the rows of a file hardly differ in these.
	code    string
	regions phone.Region
	path    string
	scope   policy.Scope
}

func newRowReader(ctx context.Context, s *store.Store, h *dncv1.ImportRecordsHeader) (rowReader, error) {
	r := rowReader{store: s}
	if err := recorder(ctx, h.GetContext().GetOnBehalfOf(), &r.story); err != nil {
		return r, err
	}
	var err error
	if r.region, err = parseRegion(h.GetRegion()); err != nil || h.FallbackScope == nil {
		return r, err
	}
	r.mends = true
	r.wide, err = scopeOf(h.GetFallbackScope())
	return r, err
}

// read divides a chunk into rows to stage and rejects, which the ack tells with the remarks.
func (r *rowReader) read(c *dncv1.ImportChunk) (store.RowChunk, *dncv1.ImportAck, error) {
	out, ack := store.RowChunk{Seq: c.GetSeq()}, &dncv1.ImportAck{Seq: c.GetSeq()}
	if err := checkRecordsChunk(c); err != nil {
		return out, nil, err
	}
	out.Hash = chunkhash.OfRows(c.GetRows())
	out.Rows = make([]store.OptOutRow, 0, len(c.GetRows()))
	at := instantOf(r.store.View())
	for i, m := range c.GetRows() {
		row, err := r.row(m, at)
		if err != nil {
			ack.Rejects = tell(ack.Rejects, i, itemError(err))
			out.Refused = append(out.Refused, uint32(i))
			continue
		}
		if len(r.left) > 0 {
			out.Remarks++
			ack.Remarks = tell(ack.Remarks, i, r.remark())
		}
		out.Rows = append(out.Rows, row)
	}
	return out, ack, nil
}

// tell appends what is wrong with a row.
func tell(list []*dncv1.ImportReject, row int, e *dncv1.ItemError) []*dncv1.ImportReject {
	if len(list) >= toldRejects {
		e.Message = ""
	}
	return append(list, &dncv1.ImportReject{Index: uint32(row), Error: e})
}

// remark is all that was left out of the row at hand.
func (r *rowReader) remark() *dncv1.ItemError {
	e := itemError(r.left[0])
	for _, err := range r.left[1:] {
		e.Message += "; " + itemError(err).GetMessage()
	}
	return e
}

func checkRecordsChunk(c *dncv1.ImportChunk) error {
	if err := checkSeq(c.GetSeq()); err != nil {
		return err
	}
	if c.GetAdd() != nil || c.GetRemove() != nil {
		return chunkInvalid("numbers are for imports of lists: send rows")
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

// row is what one row records. What is left out of it is in left.
func (r *rowReader) row(m *dncv1.RecordRow, at instant) (store.OptOutRow, error) {
	out := store.OptOutRow{Story: r.story}
	r.left = r.left[:0]
	if m.GetConsentKind() != 0 || m.GetConsentForm() != 0 {
		return out, invalidField("consent_kind", "and consent_form are for consents only")
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
		if err := r.leave(err); err != nil {
			return out, err
		}
		out.Channel = policy.Channel(dncv1.Channel_CHANNEL_OTHER)
	}
	if out.Scope, err = r.scopeOf(m.GetScope()); err != nil {
		if err := r.leave(err); err != nil {
			return out, err
		}
		out.Scope = r.wide
	}
	if err := r.times(m, &out.OptOut, at); err != nil {
		return out, err
	}
	out.Story.Desk, out.Story.Evidence, out.Story.Note = m.GetDesk(), m.GetEvidence(), m.GetNote()
	return out, r.texts(&out.Story)
}

// leave notes that something is left out; where nothing may be, the row is rejected for it.
func (r *rowReader) leave(err error) error {
	if !r.mends {
		return err
	}
	r.left = append(r.left, err)
	return nil
}

// times reads both times. One that cannot be is none, but an opt-out that has ended is never made one without an end.
func (r *rowReader) times(m *dncv1.RecordRow, o *store.OptOut, at instant) (err error) {
	if o.ReceivedAt, err = timeOf("received_at", m.GetReceivedAt()); err == nil {
		err = checkReceived(o.ReceivedAt, at)
	}
	if err != nil {
		if err := r.leave(err); err != nil {
			return err
		}
		o.ReceivedAt = time.Time{}
	}
	o.ExpiresAt, err = timeOf("expires_at", m.GetExpiresAt())
	if err == nil {
		if err := checkEnded(*o, at); err != nil {
			return err
		}
		err = checkExpires(*o)
	}
	if err != nil {
		if err := r.leave(err); err != nil {
			return err
		}
		o.ExpiresAt = time.Time{}
	}
	return nil
}

// texts checks the texts of a story, and shortens those that are too long.
func (r *rowReader) texts(s *store.Story) error {
	for _, f := range []struct {
		text *string
		field
	}{
		{&s.Desk, field{name: "desk", max: maxDesk}},
		{&s.Evidence, field{name: "evidence", max: maxEvidence}},
		{&s.Note, field{name: "note", max: maxNote, lines: true}},
	} {
		f.value = *f.text
		if err := checkText(f.field); err != nil {
			if err := r.leave(err); err != nil {
				return err
			}
			*f.text = f.allowed()
		}
	}
	return nil
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
