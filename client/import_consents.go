package client

import (
	"context"
	"strings"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// ImportConsentsRequest is a file of consents, or several, to be recorded. Fields that ImportOptOutsRequest has too mean
// the same.
type ImportConsentsRequest struct {
	// Rows to record. Required.
	Rows       ConsentSource
	Region     string
	Sources    []ImportSource
	MaxRejects *float64
	// Override overrides the guards. Consents that would lift opt-outs are then recorded and lift none.
	Override bool
	DryRun   bool
	// LiftOptOuts: permissions with evidence may lift older opt-outs, where the policy says so. Only officers may set it. Else
	// none of the import ever lifts one, and GuardLiftsOptOuts fails if some would.
	LiftOptOuts bool
	Resume      bool

	OnResume   func(rows uint64)
	OnProgress func(Progress)
	OnReject   func(OptOutReject)
}

// ConsentSource yields the rows of an import. It is as OptOutSource, except that each row must say when the consent was
// obtained, and that a row that cannot be read in full is rejected.
type ConsentSource interface {
	Next(batch []Consent) (int, error)
	Summary() SourceSummary
}

// ImportConsents records many consents, as ImportOptOuts records opt-outs. A row is a duplicate where the number holds a consent
// that says the same in all but its evidence, note and desk. A row is rejected where consents were withdrawn after this one was
// obtained: see ErrConsentWithdrawn.
func (c *Client) ImportConsents(ctx context.Context, r ImportConsentsRequest) (_ ImportOptOutsResult, err error) {
	if r.Rows == nil {
		return ImportOptOutsResult{}, invalidField("rows", "an import needs rows: set Rows")
	}
	defer closeSource(r.Rows, &err)
	sources, err := toSources(r.Sources)
	if err != nil {
		return ImportOptOutsResult{}, err
	}
	header := &dncv1.ImportRecordsHeader{
		Kind: dncv1.RecordKind_RECORD_KIND_CONSENT, Sources: sources, Region: r.Region, DryRun: r.DryRun,
		Guards:      &dncv1.ImportGuards{MaxRejectRatio: r.MaxRejects, Override: r.Override},
		LiftOptOuts: r.LiftOptOuts, Resume: r.Resume, Context: &dncv1.WriteContext{OnBehalfOf: c.opts.user},
	}
	rows := &rowsOf[Consent]{source: r.Rows, toRow: toConsentRow}
	return c.importRows(ctx, rows, rowCalls{onResume: r.OnResume, onProgress: r.OnProgress, onReject: r.OnReject}, header)
}

// unreadable is no value of an enum: the server rejects the row.
const unreadable = -1

// toConsentRow is a row on the wire. The server judges what is wrong with it.
func toConsentRow(o *Consent) *dncv1.RecordRow {
	row := toRow(&OptOut{
		Number: o.Number, Region: o.Region, Scope: o.Scope, Channel: o.Channel, Desk: o.Desk, ReceivedAt: o.ObtainedAt, Evidence: o.Evidence,
		Note: o.Note, ExpiresAt: o.ExpiresAt,
	})
	var err error
	if row.ConsentKind, err = value[dncv1.ConsentKind](o.Kind, "CONSENT_KIND_", dncv1.ConsentKind_value); err != nil {
		row.ConsentKind = unreadable
	}
	if row.ConsentForm, err = value[dncv1.ConsentForm](o.Form, "CONSENT_FORM_", dncv1.ConsentForm_value); err != nil {
		row.ConsentForm = unreadable
	}
	row.Goods, row.ThirdParties = carried(strings.TrimSpace(o.Goods)), carried(strings.TrimSpace(o.ThirdParties))
	row.AppointmentFrom, row.AppointmentUntil = toTime(o.AppointmentFrom), toTime(o.AppointmentUntil)
	return row
}
