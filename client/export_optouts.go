package client

import (
	"context"
	"errors"
	"iter"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// OptOutRecord is one opt-out as an export has it.
type OptOutRecord struct {
	Number  string  `json:"number"`
	Scope   string  `json:"scope" empty:"kept"`
	Channel Channel `json:"channel"`
	Desk    string  `json:"desk"`
	// ReceivedAt is when the person said it, RecordedAt when it became durable.
	ReceivedAt time.Time `json:"received_at"`
	Evidence   string    `json:"evidence"`
	Note       string    `json:"note"`
	// ExpiresAt is when it ends; zero: never.
	ExpiresAt        time.Time `json:"expires_at"`
	RecordedAt       time.Time `json:"recorded_at"`
	RecordedBy       string    `json:"recorded_by"`
	RecordedByProven bool      `json:"recorded_by_proven"`
	// StoryState is StoryPresent, or Desk, Evidence, Note and RecordedBy are empty.
	StoryState StoryState `json:"story_state"`
	ID         EventID    `json:"id"`
}

// ExportOptOuts yields the opt-outs in force at one revision, by ascending number, then
// oldest first. With Scope: those at that scope, above and below it. An error is the last
// thing yielded, and then what came before it is not the whole: also when the stream was
// cut, or its count is not the server's. There is no deadline but that of ctx, and nothing
// is tried again.
func (c *Client) ExportOptOuts(ctx context.Context, opts ...ExportOption) iter.Seq2[OptOutRecord, error] {
	return exportRecords(ctx, c, dncv1.RecordKind_RECORD_KIND_OPT_OUT, fromExported, opts)
}

// ExportConsents yields the consents in force, as ExportOptOuts does opt-outs. In force says that they have not expired: the policy may
// count them for a shorter time.
func (c *Client) ExportConsents(ctx context.Context, opts ...ExportOption) iter.Seq2[ConsentRecord, error] {
	return exportRecords(ctx, c, dncv1.RecordKind_RECORD_KIND_CONSENT, fromExportedConsent, opts)
}

func exportRecords[T any](
	ctx context.Context, c *Client, kind dncv1.RecordKind, from func(*dncv1.ExportedRecord) T, opts []ExportOption,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		o := gather(opts, ExportOption.applyExport)
		request := &dncv1.ExportRecordsRequest{Kind: kind, InForceOnly: true, ReadAt: o.readAt()}
		if o.scopeSet {
			request.Scope = &o.scope
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.pick().records.ExportRecords(ctx, request)
		if err != nil {
			yield(none, fromStatus(err))
			return
		}
		if err := yieldRecords(stream.Recv, from, yield); err != nil && !errors.Is(err, errStopped) {
			yield(none, exportError(err))
		}
	}
}

// yieldRecords yields until the summary: io.EOF before it is a cut.
func yieldRecords[T any](
	receive func() (*dncv1.ExportRecordsResponse, error), from func(*dncv1.ExportedRecord) T, yield func(T, error) bool,
) error {
	count := uint64(0)
	for {
		frame, err := receive()
		if err != nil {
			return err
		}
		if summary := frame.GetSummary(); summary != nil {
			if summary.GetRecords() != count {
				return broken("the export does not match the count that the server gave: try again")
			}
			return nil
		}
		for _, r := range frame.GetChunk().GetRecords() {
			count++
			if !yield(from(r), nil) {
				return errStopped
			}
		}
	}
}

// ConsentRecord is one consent as an export has it. Fields that OptOutRecord has too mean the same.
type ConsentRecord struct {
	Number     string      `json:"number"`
	Scope      string      `json:"scope" empty:"kept"`
	Kind       ConsentKind `json:"kind"`
	Form       ConsentForm `json:"form"`
	Channel    Channel     `json:"channel"`
	Desk       string      `json:"desk"`
	ObtainedAt time.Time   `json:"obtained_at"`
	Evidence   string      `json:"evidence"`
	Note       string      `json:"note"`
	// ExpiresAt is when it ends; zero: the policy decides.
	ExpiresAt        time.Time  `json:"expires_at"`
	Goods            string     `json:"goods"`
	ThirdParties     string     `json:"third_parties"`
	AppointmentFrom  time.Time  `json:"appointment_from"`
	AppointmentUntil time.Time  `json:"appointment_until"`
	MayLift          bool       `json:"may_lift"`
	RecordedAt       time.Time  `json:"recorded_at"`
	RecordedBy       string     `json:"recorded_by"`
	RecordedByProven bool       `json:"recorded_by_proven"`
	StoryState       StoryState `json:"story_state"`
	ID               EventID    `json:"id"`
}

func fromExportedConsent(e *dncv1.ExportedRecord) ConsentRecord {
	r, story := e.GetRecord(), e.GetRecord().GetStory()
	return ConsentRecord{
		Number:           e.GetNumber(),
		Scope:            r.GetScope(),
		Kind:             name[ConsentKind](r.GetConsentKind(), "CONSENT_KIND_"),
		Form:             name[ConsentForm](r.GetConsentForm(), "CONSENT_FORM_"),
		Channel:          name[Channel](r.GetChannel(), "CHANNEL_"),
		Desk:             story.GetDesk(),
		ObtainedAt:       fromTime(r.GetReceivedAt()),
		Evidence:         story.GetEvidence(),
		Note:             story.GetNote(),
		ExpiresAt:        fromTime(r.GetExpiresAt()),
		Goods:            r.GetGoods(),
		ThirdParties:     r.GetThirdParties(),
		AppointmentFrom:  fromTime(r.GetAppointmentFrom()),
		AppointmentUntil: fromTime(r.GetAppointmentUntil()),
		MayLift:          r.GetMayLift(),
		RecordedAt:       fromTime(r.GetRecordedAt()),
		RecordedBy:       story.GetRecordedBy(),
		RecordedByProven: story.GetRecordedByProven(),
		StoryState:       name[StoryState](story.GetState(), "STORY_STATE_"),
		ID:               fromEventID(r.GetId()),
	}
}

func fromExported(e *dncv1.ExportedRecord) OptOutRecord {
	r, story := e.GetRecord(), e.GetRecord().GetStory()
	return OptOutRecord{
		Number:           e.GetNumber(),
		Scope:            r.GetScope(),
		Channel:          name[Channel](r.GetChannel(), "CHANNEL_"),
		Desk:             story.GetDesk(),
		ReceivedAt:       fromTime(r.GetReceivedAt()),
		Evidence:         story.GetEvidence(),
		Note:             story.GetNote(),
		ExpiresAt:        fromTime(r.GetExpiresAt()),
		RecordedAt:       fromTime(r.GetRecordedAt()),
		RecordedBy:       story.GetRecordedBy(),
		RecordedByProven: story.GetRecordedByProven(),
		StoryState:       name[StoryState](story.GetState(), "STORY_STATE_"),
		ID:               fromEventID(r.GetId()),
	}
}
