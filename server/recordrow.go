package server

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/chunkhash"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// rowReader reads the rows of an import of opt-outs.
type rowReader struct {
	store    *store.Store
	story    store.Story // who records
	caller   *access.Grant
	region   phone.Region
	consents bool         // the rows are
	lift     bool         // consents may lift opt-outs
	lenient  bool         // fields that cannot be read, except the number, are left out
	fallback policy.Scope // in place of a scope that cannot be read
	omitted  []error      // what is wrong with the fields that were left out of the current row

	// The last values: consecutive rows of a file mostly share them.
	code    string
	regions phone.Region
	path    string
	scope   policy.Scope
}

func newRowReader(ctx context.Context, s *store.Store, h *dncv1.ImportRecordsHeader) (rowReader, error) {
	r := rowReader{
		store: s, caller: callerOf(ctx), consents: h.GetKind() == dncv1.RecordKind_RECORD_KIND_CONSENT, lift: h.GetLiftOptOuts(),
	}
	if err := recorder(ctx, h.GetContext().GetOnBehalfOf(), &r.story); err != nil {
		return r, err
	}
	var err error
	if r.region, err = parseRegion(h.GetRegion()); err != nil || h.FallbackScope == nil {
		return r, err
	}
	r.lenient = true
	if r.fallback, err = scopeOf(h.GetFallbackScope()); err == nil {
		r.fallback, err = r.ownScope(r.fallback)
	}
	return r, err
}

// ownScope returns the scope for rows whose scope cannot be read: everywhere becomes the caller's own scope.
func (r *rowReader) ownScope(fallback policy.Scope) (policy.Scope, error) {
	if fallback != "" || r.caller.Everywhere() {
		return fallback, within(r.caller, fallback)
	}
	if len(r.caller.Scopes) > 1 {
		return "", invalidField("fallback_scope", "must name one of the caller's scopes: there are several")
	}
	return r.caller.Scopes[0], nil
}

// reading is what the meaning of a row depends on, besides the row: rows that were staged with another reading are
// useless.
func (r *rowReader) reading(region string) string {
	reading := fmt.Sprintf("region %q", region)
	if r.lenient {
		reading += fmt.Sprintf(", scope %q instead", string(r.fallback))
	}
	if r.lift {
		reading += ", lifting opt-outs"
	}
	if !r.caller.Everywhere() {
		reading += fmt.Sprintf(", within %q", r.caller.Scopes)
	}
	return reading
}

// read divides a chunk into rows to stage and rejects. The ack reports the rejects and the remarks.
func (r *rowReader) read(c *dncv1.ImportChunk) (store.RowChunk, *dncv1.ImportAck, error) {
	out, ack := store.RowChunk{Seq: c.GetSeq()}, &dncv1.ImportAck{Seq: c.GetSeq()}
	if err := checkRecordsChunk(c); err != nil {
		return out, nil, err
	}
	out.Hash = chunkhash.OfRows(c.GetRows())
	out.Rows = make([]store.RecordRow, 0, len(c.GetRows()))
	at := instantOf(r.store.View())
	for i, m := range c.GetRows() {
		row, err := r.row(m, at)
		if err != nil {
			ack.Rejects = addReject(ack.Rejects, i, itemError(err))
			out.Refused = append(out.Refused, uint32(i))
			continue
		}
		if len(r.omitted) > 0 {
			out.Remarks++
			ack.Remarks = addReject(ack.Remarks, i, r.remark())
		}
		out.Rows = append(out.Rows, row)
	}
	return out, ack, nil
}

// addReject appends what is wrong with a row.
func addReject(list []*dncv1.ImportReject, row int, e *dncv1.ItemError) []*dncv1.ImportReject {
	if len(list) >= toldRejects {
		e.Message = ""
	}
	return append(list, &dncv1.ImportReject{Index: uint32(row), Error: e})
}

// remark describes all that was left out of the current row.
func (r *rowReader) remark() *dncv1.ItemError {
	e := itemError(r.omitted[0])
	for _, err := range r.omitted[1:] {
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
	if n := proto.Size(c); n > maxChunkBytes {
		return chunkInvalid(fmt.Sprintf("a chunk holds at most %d KiB: send smaller ones", maxChunkBytes>>10)).
			with("limit", fmt.Sprint(maxChunkBytes)).with("actual", fmt.Sprint(n))
	}
	return nil
}

// row returns what one row records, and keeps in r.omitted why fields were left out.
func (r *rowReader) row(m *dncv1.RecordRow, at instant) (store.RecordRow, error) {
	out := store.RecordRow{Story: r.story}
	r.omitted = r.omitted[:0]
	if !r.consents && isOfConsent(m) {
		return out, invalidField("consent_kind", "and what else says how a consent was given are for consents only")
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
		if err := r.omit(err); err != nil {
			return out, err
		}
		out.Channel = policy.Channel(dncv1.Channel_CHANNEL_OTHER)
	}
	if out.Scope, err = r.scopeOf(m.GetScope()); err != nil {
		if err := r.omit(err); err != nil {
			return out, err
		}
		out.Scope = r.fallback
	}
	if err := within(r.caller, out.Scope); err != nil {
		return out, err
	}
	if r.consents {
		err = r.consent(m, &out, at)
	} else {
		err = r.times(m, &out.OptOut, at)
	}
	if err != nil {
		return out, err
	}
	out.Story.Desk, out.Story.Evidence, out.Story.Note = m.GetDesk(), m.GetEvidence(), m.GetNote()
	return out, r.texts(&out.Story)
}

// isOfConsent reports whether a row has a field that only consents have.
func isOfConsent(m *dncv1.RecordRow) bool {
	return m.GetConsentKind() != 0 || m.GetConsentForm() != 0 || m.GetGoods() != "" || m.GetThirdParties() != "" ||
		m.GetAppointmentFrom() != nil || m.GetAppointmentUntil() != nil
}

// consent reads what only a consent has, and its times. When it was obtained is never guessed.
func (r *rowReader) consent(m *dncv1.RecordRow, out *store.RecordRow, at instant) error {
	terms, err := termsOf(m.GetConsentKind(), m.GetConsentForm(), m, at)
	if err != nil {
		return err
	}
	if out.ReceivedAt, err = timeOf("received_at", m.GetReceivedAt()); err != nil {
		return err
	}
	if out.ReceivedAt.IsZero() {
		return invalidField("obtained_at", "is missing: say when the consent was obtained")
	}
	if out.ExpiresAt, err = timeOf("expires_at", m.GetExpiresAt()); err != nil {
		return err
	}
	terms.MayLift = r.lift && mayLift(r.caller, terms.Kind, m.GetEvidence())
	out.Consent = &terms
	return checkConsentTimes(out.ReceivedAt, out.ExpiresAt, terms.Kind, at)
}

// omit notes that a field is left out. If no field may be, it returns the error that rejects the row.
func (r *rowReader) omit(err error) error {
	if !r.lenient {
		return err
	}
	r.omitted = append(r.omitted, err)
	return nil
}

// times reads both times. A time that cannot be read is left out, but an opt-out that has expired never becomes one
// without an end.
func (r *rowReader) times(m *dncv1.RecordRow, o *store.OptOut, at instant) (err error) {
	if o.ReceivedAt, err = timeOf("received_at", m.GetReceivedAt()); err == nil {
		err = checkReceived(o.ReceivedAt, at)
	}
	if err != nil {
		if err := r.omit(err); err != nil {
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
		if err := r.omit(err); err != nil {
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
			if err := r.omit(err); err != nil {
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
