package client

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Result answers whether a number may be called.
type Result struct {
	// Number is what was asked about, in E.164.
	Number string `json:"number"`
	// Verdict is the answer.
	Verdict Verdict `json:"verdict"`
	// Cause says why the verdict is Unknown; empty for the others.
	Cause Cause `json:"cause"`
	// Reasons are what the answer rests on, the deciding ones first. Those of Allow come
	// with Explain. They may be shared with other results: do not change them.
	Reasons []Reason `json:"reasons"`
	// Position is what the answer was computed from.
	Position
	// CheckedAt is the time that counted as now.
	CheckedAt time.Time `json:"checked_at"`
	// ValidUntil is when the answer could change without a new event; zero: never.
	ValidUntil time.Time `json:"valid_until"`
	// OpensAt is when the calling hours next open, with NotNow: of several rules the latest. Zero: not within a month.
	OpensAt time.Time `json:"opens_at"`
	// PolicyVersion is the policy that was applied; empty: none is in force.
	PolicyVersion string `json:"policy_version"`
	// ClockAhead is how far CheckedAt may be ahead of the true time, when the server's clock was set back.
	ClockAhead time.Duration `json:"clock_ahead"`
	// TablesVersion names the built-in tables of the server that it was decided with: regions and time zones of numbers, clocks, holidays.
	TablesVersion string `json:"tables_version"`
	// TablesDifference are the tables that are not those of the result that Logged asked for again.
	TablesDifference []string `json:"tables_difference"`
}

// Callable reports whether the number may be called now. It is true only for Allow.
func (r Result) Callable() bool { return r.Verdict == Allow }

// Reason is one thing that an answer rests on.
type Reason struct {
	Kind ReasonKind `json:"kind"`
	// List is the list's name; empty when no list is meant.
	List     string   `json:"list"`
	ListKind ListKind `json:"list_kind"`
	// Scope of the record or the list; empty is everyone.
	Scope string `json:"scope" empty:"kept"`
	// Channel is how the record was received, Since when.
	Channel Channel   `json:"channel"`
	Since   time.Time `json:"since"`
	// SnapshotDate of the list's content, YYYY-MM-DD.
	SnapshotDate string `json:"snapshot_date"`
	// Rule of the policy.
	Rule string `json:"rule"`
	// Record is the event that recorded the opt-out or consent.
	Record EventID `json:"record"`
	// ConsentKind is what a consent rests on.
	ConsentKind ConsentKind `json:"consent_kind"`
	// ExpiresAt is when the record ends; zero: never.
	ExpiresAt time.Time `json:"expires_at"`
	// Source is where the part of the rule that speaks comes from; empty without a rule.
	Source string `json:"source"`
	// TimeZone is the clock by which calling hours were judged: a name of the IANA database.
	TimeZone string `json:"time_zone"`
}

// EventID is the place of an event in the journal. The zero EventID is none.
type EventID struct {
	Revision uint64 `json:"revision"`
	Index    uint32 `json:"index"`
}

// Check asks whether a number may be called now. An error comes with the zero
// Result, which is not callable. Besides ErrUnavailable and those of a deadline
// the errors are ErrInvalidNumber, ErrInvalidArgument and those of AtLeast.
func (c *Client) Check(ctx context.Context, number string, opts ...CheckOption) (Result, error) {
	if err := sendable(number); err != nil {
		return Result{}, err
	}
	o := c.checkOptions(opts)
	if err := o.judge(false); err != nil {
		return Result{}, err
	}
	if c.opts.unary || !o.canShare() {
		return c.checkAlone(ctx, number, &o)
	}
	return c.checkShared(ctx, number, &o)
}

// checkAloneBy is checkAlone with a deadline, unless it is zero.
func (c *Client) checkAloneBy(ctx context.Context, expires time.Time, number string, o *callOptions) (Result, error) {
	ctx, cancel := until(ctx, expires)
	defer cancel()
	return c.checkAlone(ctx, number, o)
}

// checkAlone checks with a unary call.
func (c *Client) checkAlone(ctx context.Context, number string, o *callOptions) (Result, error) {
	request := &dncv1.CheckNumberRequest{
		Number:  number,
		Region:  o.region,
		Scope:   o.scope,
		ReadAt:  o.readAt(),
		Purpose: o.sent,
		Explain: o.explain,
		Place:   o.place,

		RecordUse: o.recordUse,
	}
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.CheckNumberResponse, error) {
		return on.checks.CheckNumber(ctx, request)
	})
	if err != nil {
		return Result{}, err
	}
	return fromCheck(answer), nil
}

// fromCheck is the result of a check of one number.
func fromCheck(answer *dncv1.CheckNumberResponse) Result {
	return Result{
		Number:        answer.GetNumber(),
		Verdict:       verdict(answer.GetVerdict()),
		Cause:         name[Cause](answer.GetCause(), "CAUSE_"),
		Reasons:       fromReasons(answer.GetReasons()),
		Position:      fromPosition(answer.GetPosition()),
		CheckedAt:     fromTime(answer.GetCheckedAt()),
		ValidUntil:    fromTime(answer.GetValidUntil()),
		OpensAt:       fromTime(answer.GetOpensAt()),
		PolicyVersion: answer.GetPolicyVersion(),
		ClockAhead:    answer.GetClockAhead().AsDuration(),

		TablesVersion: answer.GetTablesVersion(), TablesDifference: answer.GetTablesDifference(),
	}
}

// maxNumberBytes is the contract's limit for a number in a string.
const maxNumberBytes = 64

// sendable refuses an empty number, and text that no message can carry, before a call is
// spent on it. The server judges everything else.
func sendable(number string) *Error {
	switch {
	case strings.TrimSpace(number) == "":
		return invalid(reasonNumberEmpty, phone.ErrEmpty.Error())
	case len(number) > maxNumberBytes:
		return invalid("NUMBER_LENGTH", "not a phone number: longer than 64 bytes")
	case !utf8.ValidString(number):
		return invalid(reasonNumberSyntax, "not a phone number: the text is not UTF-8")
	}
	return nil
}

func fromReasons(list []*dncv1.Reason) []Reason {
	reasons := make([]Reason, len(list))
	for i, r := range list {
		reasons[i] = Reason{
			Kind:         name[ReasonKind](r.GetKind(), "REASON_KIND_"),
			List:         r.GetList(),
			ListKind:     name[ListKind](r.GetListKind(), "LIST_KIND_"),
			Scope:        r.GetScope(),
			Channel:      name[Channel](r.GetChannel(), "CHANNEL_"),
			Since:        fromTime(r.GetSince()),
			SnapshotDate: r.GetSnapshotDate(),
			Rule:         r.GetRule(),
			Record:       fromEventID(r.GetRecord()),
			ConsentKind:  name[ConsentKind](r.GetConsentKind(), "CONSENT_KIND_"),
			ExpiresAt:    fromTime(r.GetExpiresAt()),
			Source:       r.GetSource(),
			TimeZone:     r.GetTimeZone(),
		}
	}
	return reasons
}

// fromListID is the id of a list: that of the event that created it, as text; empty for none.
func fromListID(id *dncv1.EventId) string {
	if id == nil {
		return ""
	}
	return fmt.Sprintf("%d-%d", id.GetRevision(), id.GetIndex())
}

func fromEventID(id *dncv1.EventId) EventID {
	return EventID{Revision: id.GetRevision(), Index: id.GetIndex()}
}
