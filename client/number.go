package client

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// NumberInfo is what holds for a number.
type NumberInfo struct {
	Number string `json:"number"`
	// Regions it may belong to; several when the numbering plan does not say which.
	Regions []string `json:"regions"`
	Position
	ReadAt time.Time `json:"read_at"`
	// Records in force, oldest first. The history has the others.
	Records []Record `json:"records"`
	// Lists that hold it.
	Lists []ListEntry `json:"lists"`
	// TablesVersion and TablesDifference as in Result.
	TablesVersion    string   `json:"tables_version"`
	TablesDifference []string `json:"tables_difference"`
	// Check is what Check answers at this position and time, with Explain. It is nil for a caller that may make no checks, and
	// for one whose roles are bound to scopes when the call names none.
	Check *Result `json:"check"`
}

// Record is one fact about one number.
type Record struct {
	ID   EventID    `json:"id"`
	Kind RecordKind `json:"kind"`
	// ConsentKind is what a consent rests on; empty for an opt-out.
	ConsentKind ConsentKind `json:"consent_kind"`
	Scope       string      `json:"scope" empty:"kept"`
	Channel     Channel     `json:"channel"`
	// ReceivedAt is when the person said it, or when a consent was obtained. RecordedAt is when it became durable.
	ReceivedAt time.Time `json:"received_at"`
	RecordedAt time.Time `json:"recorded_at"`
	// ExpiresAt is when it ends; zero: never.
	ExpiresAt time.Time `json:"expires_at"`
	InForce   bool      `json:"in_force"`
	Story     Story     `json:"story"`
	ConsentTerms
}

// ConsentTerms is what a consent states beyond what every record does; empty for an opt-out.
type ConsentTerms struct {
	// ConsentForm is how it was given.
	ConsentForm ConsentForm `json:"consent_form"`
	// Goods is the nature of what it was given for, ThirdParties who else may call.
	Goods        string `json:"goods"`
	ThirdParties string `json:"third_parties"`
	// The appointment that the person agreed to; zero: none.
	AppointmentFrom  time.Time `json:"appointment_from"`
	AppointmentUntil time.Time `json:"appointment_until"`
	// MayLift: it may lift an older opt-out, where the policy says so.
	MayLift bool `json:"may_lift"`
}

// Story is who received an objection, how it is proven and who wrote it down.
type Story struct {
	// State is StoryPresent, or all other fields are empty.
	State            StoryState `json:"state"`
	Desk             string     `json:"desk"`
	Evidence         string     `json:"evidence"`
	Note             string     `json:"note"`
	Reason           string     `json:"reason"`
	RecordedBy       string     `json:"recorded_by"`
	RecordedByProven bool       `json:"recorded_by_proven"`
}

// ListEntry is a list that holds a number.
type ListEntry struct {
	List         string   `json:"list"`
	ListID       string   `json:"list_id"`
	Kind         ListKind `json:"kind"`
	Scope        string   `json:"scope" empty:"kept"`
	SnapshotDate string   `json:"snapshot_date"`
	Stale        bool     `json:"stale"`
}

// History is the events about a number, oldest first, read at one revision.
type History struct {
	Number string         `json:"number"`
	Events []HistoryEvent `json:"events"`
	Position
	// HistoryFrom is the first revision that the kept journal holds.
	HistoryFrom uint64 `json:"history_from"`
	// KindsCovered are the kinds of events that Events is complete for. There may be events
	// of other kinds, such as EventListed.
	KindsCovered []EventKind `json:"kinds_covered"`
}

// HistoryEvent is one event about a number.
type HistoryEvent struct {
	ID   EventID   `json:"id"`
	Time time.Time `json:"time"`
	// Kind is what happened.
	Kind        EventKind   `json:"kind"`
	Scope       string      `json:"scope" empty:"kept"`
	Channel     Channel     `json:"channel"`
	ReceivedAt  time.Time   `json:"received_at"`
	ExpiresAt   time.Time   `json:"expires_at"`
	ConsentKind ConsentKind `json:"consent_kind"`
	// Ended are the events that a withdrawal ended.
	Ended        []EventID `json:"ended"`
	List         string    `json:"list"`
	ListID       string    `json:"list_id"`
	SnapshotDate string    `json:"snapshot_date"`
	Story        Story     `json:"story"`
	ConsentTerms
	// WithdrawalReason is what kind of reason a withdrawal had.
	WithdrawalReason WithdrawalReason `json:"withdrawal_reason"`
	// Used are the consents that a check relied on, CheckedRevision where it was answered from.
	Used []EventID `json:"used"`
	// Former are the digits under which an opt-out had been stored that was respelled, Respelled is the event that recorded it.
	Former          string  `json:"former"`
	Respelled       EventID `json:"respelled"`
	CheckedRevision uint64  `json:"checked_revision" zero:"unset"`
}

// GetNumber returns what holds for a number, and whether it may be called. One that nothing was recorded about
// is an answer with no records and no lists. Errors as for Check.
func (c *Client) GetNumber(ctx context.Context, number string, opts ...NumberOption) (NumberInfo, error) {
	if err := sendable(number); err != nil {
		return NumberInfo{}, err
	}
	o := c.numberOptions(opts)
	if err := o.judge(false); err != nil {
		return NumberInfo{}, err
	}
	request := &dncv1.GetNumberRequest{
		Number: number, Region: o.region, ReadAt: o.readAt(), Scope: o.scope, Purpose: o.sent, Place: o.place,
	}
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.GetNumberResponse, error) {
		return on.records.GetNumber(ctx, request)
	})
	if err != nil {
		return NumberInfo{}, err
	}
	return NumberInfo{
		Number:   answer.GetNumber(),
		Regions:  answer.GetRegions(),
		Position: fromPosition(answer.GetPosition()),
		ReadAt:   fromTime(answer.GetCheckedAt()),
		Records:  each(answer.GetRecords(), fromRecord),
		Lists:    each(answer.GetLists(), fromListEntry),

		TablesVersion: answer.GetTablesVersion(), TablesDifference: answer.GetTablesDifference(),
		Check: checkIn(answer),
	}, nil
}

// checkIn is the check in an answer; nil: it has none.
func checkIn(answer *dncv1.GetNumberResponse) *Result {
	if answer.GetCheck() == nil {
		return nil
	}
	r := fromCheck(answer.GetCheck())
	return &r
}

// History returns the events about a number, of the kinds that it names. Errors as for Check.
func (c *Client) History(ctx context.Context, number string, opts ...ReadOption) (History, error) {
	o := readOptions(opts)
	if err := sendable(number); err != nil {
		return History{}, err
	}
	request := &dncv1.ListHistoryRequest{
		Number: number, Region: o.region, ReadAt: o.readAt(), PageSize: pageSize,
	}
	var h History
	for {
		page, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListHistoryResponse, error) {
			return on.records.ListHistory(ctx, request)
		})
		if err != nil {
			return History{}, err
		}
		h.Number, h.Position = page.GetNumber(), fromPosition(page.GetPosition())
		h.HistoryFrom, h.KindsCovered = page.GetHistoryFrom(), each(page.GetKindsCovered(), fromEventKind)
		h.Events = append(h.Events, each(page.GetEvents(), fromHistoryEvent)...)
		if request.PageToken = page.GetNextPageToken(); request.PageToken == "" {
			return h, nil
		}
	}
}

// pageSize is the largest page that the contract allows.
const pageSize = 1000

func each[P, T any](list []P, from func(P) T) []T {
	out := make([]T, len(list))
	for i, p := range list {
		out[i] = from(p)
	}
	return out
}

func fromRecord(r *dncv1.Record) Record {
	return Record{
		ID:          fromEventID(r.GetId()),
		Kind:        name[RecordKind](r.GetKind(), "RECORD_KIND_"),
		ConsentKind: name[ConsentKind](r.GetConsentKind(), "CONSENT_KIND_"),
		Scope:       r.GetScope(),
		Channel:     name[Channel](r.GetChannel(), "CHANNEL_"),
		ReceivedAt:  fromTime(r.GetReceivedAt()),
		RecordedAt:  fromTime(r.GetRecordedAt()),
		ExpiresAt:   fromTime(r.GetExpiresAt()),
		InForce:     r.GetInForce(),
		Story:       fromStory(r.GetStory()),

		ConsentTerms: fromTerms(r.GetConsentForm(), r),
	}
}

// fromTerms is what a record or an event states of a consent.
func fromTerms(form dncv1.ConsentForm, m interface {
	GetGoods() string
	GetThirdParties() string
	GetAppointmentFrom() *timestamppb.Timestamp
	GetAppointmentUntil() *timestamppb.Timestamp
	GetMayLift() bool
}) ConsentTerms {
	return ConsentTerms{
		ConsentForm: name[ConsentForm](form, "CONSENT_FORM_"), Goods: m.GetGoods(), ThirdParties: m.GetThirdParties(), MayLift: m.GetMayLift(),
		AppointmentFrom: fromTime(m.GetAppointmentFrom()), AppointmentUntil: fromTime(m.GetAppointmentUntil()),
	}
}

func fromStory(s *dncv1.Story) Story {
	return Story{
		State:            name[StoryState](s.GetState(), "STORY_STATE_"),
		Desk:             s.GetDesk(),
		Evidence:         s.GetEvidence(),
		Note:             s.GetNote(),
		Reason:           s.GetReason(),
		RecordedBy:       s.GetRecordedBy(),
		RecordedByProven: s.GetRecordedByProven(),
	}
}

func fromListEntry(e *dncv1.ListEntry) ListEntry {
	return ListEntry{
		List:         e.GetList(),
		ListID:       fromListID(e.GetListId()),
		Kind:         name[ListKind](e.GetKind(), "LIST_KIND_"),
		Scope:        e.GetScope(),
		SnapshotDate: e.GetSnapshotDate(),
		Stale:        e.GetStale(),
	}
}

func fromEventKind(k dncv1.EventKind) EventKind { return name[EventKind](k, "EVENT_KIND_") }

func fromHistoryEvent(m *dncv1.HistoryEvent) HistoryEvent {
	e := HistoryEvent{
		ID:    fromEventID(m.GetId()),
		Time:  fromTime(m.GetTime()),
		Kind:  fromEventKind(m.GetKind()),
		Ended: []EventID{},
		Used:  []EventID{},
		Story: fromStory(m.GetStory()),
	}
	switch c := m.GetChange().(type) {
	case *dncv1.HistoryEvent_OptOutRecorded:
		o := c.OptOutRecorded
		e.Scope, e.Channel = o.GetScope(), name[Channel](o.GetChannel(), "CHANNEL_")
		e.ReceivedAt, e.ExpiresAt = fromTime(o.GetReceivedAt()), fromTime(o.GetExpiresAt())
	case *dncv1.HistoryEvent_OptOutWithdrawn:
		e.Scope, e.Ended = c.OptOutWithdrawn.GetScope(), each(c.OptOutWithdrawn.GetEnded(), fromEventID)
		e.WithdrawalReason = fromWithdrawalReason(c.OptOutWithdrawn.GetWithdrawalReason())
	case *dncv1.HistoryEvent_ConsentRecorded:
		o := c.ConsentRecorded
		e.Scope, e.Channel = o.GetScope(), name[Channel](o.GetChannel(), "CHANNEL_")
		e.ConsentKind = name[ConsentKind](o.GetKind(), "CONSENT_KIND_")
		e.ReceivedAt, e.ExpiresAt = fromTime(o.GetObtainedAt()), fromTime(o.GetExpiresAt())
		e.ConsentTerms = fromTerms(o.GetForm(), o)
	case *dncv1.HistoryEvent_ConsentWithdrawn:
		e.Scope, e.Ended = c.ConsentWithdrawn.GetScope(), each(c.ConsentWithdrawn.GetEnded(), fromEventID)
		e.ConsentKind = name[ConsentKind](c.ConsentWithdrawn.GetKind(), "CONSENT_KIND_")
		e.WithdrawalReason = fromWithdrawalReason(c.ConsentWithdrawn.GetWithdrawalReason())
	case *dncv1.HistoryEvent_ConsentUsed:
		e.Scope, e.Used = c.ConsentUsed.GetScope(), each(c.ConsentUsed.GetConsents(), fromEventID)
		e.CheckedRevision = c.ConsentUsed.GetCheckedRevision()
	case *dncv1.HistoryEvent_OptOutRespelled:
		e.Scope, e.Former = c.OptOutRespelled.GetScope(), c.OptOutRespelled.GetFormer()
		e.Respelled = fromEventID(c.OptOutRespelled.GetRecorded())
	case *dncv1.HistoryEvent_Listed:
		e.ofList(c.Listed)
	case *dncv1.HistoryEvent_Unlisted:
		e.ofList(c.Unlisted)
	}
	return e
}

func fromWithdrawalReason(r dncv1.WithdrawalReason) WithdrawalReason {
	return name[WithdrawalReason](r, "WITHDRAWAL_REASON_")
}

// ofList sets what an event says about a list.
func (e *HistoryEvent) ofList(c interface {
	GetList() string
	GetListId() *dncv1.EventId
	GetScope() string
	GetSnapshotDate() string
}) {
	e.List, e.ListID, e.Scope, e.SnapshotDate = c.GetList(), fromListID(c.GetListId()), c.GetScope(), c.GetSnapshotDate()
}
