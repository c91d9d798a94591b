package client

import (
	"context"
	"io"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Report is what became of the objections that were recorded in a period. It holds no number.
type Report struct {
	ReportSummary
	Desks       []ReportDesk
	Subscribers []ReportSubscriber
}

// ReportSummary is a report in a line.
type ReportSummary struct {
	// From and To are the period: objections recorded at From or later, and before To. Zero: not
	// bounded.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Time is when the report was made: ages are as of this time.
	Time time.Time `json:"time"`
	// OptOuts that were recorded; of these Imported ones are rows of files, and Expired ones have
	// ended by now.
	OptOuts  uint64 `json:"opt_outs"`
	Imported uint64 `json:"imported"`
	Expired  uint64 `json:"expired"`
	// Withdrawals that were recorded, of whatever opt-outs.
	Withdrawals uint64 `json:"withdrawals"`
	Position
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (r ReportSummary) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *ReportSummary) UnmarshalJSON(text []byte) error { return decode(text, r) }

// Spread is how long many things took. Median and P95 are lengths that occurred, at most 0.8 % longer
// than the exact ones and never shorter. Worst is exact.
type Spread struct {
	Count  uint64        `json:"count"`
	Median time.Duration `json:"median_seconds" zero:"kept"`
	P95    time.Duration `json:"p95_seconds" zero:"kept"`
	Worst  time.Duration `json:"worst_seconds" zero:"kept"`
}

// ReportDesk is what came in at a desk, through a channel.
type ReportDesk struct {
	// Desk is the event that registered it; zero: none that is registered.
	Desk EventID `json:"desk"`
	// Name and Kind as they are now, or were when it was removed.
	Name      string    `json:"name"`
	Kind      DeskKind  `json:"kind"`
	RemovedAt time.Time `json:"removed_at"`
	Channel   Channel   `json:"channel"`
	// Imported ones are rows of files.
	Imported bool   `json:"imported"`
	OptOuts  uint64 `json:"opt_outs"`
	// ReceivedToRecorded is of those that say when they were received; nil: none does.
	ReceivedToRecorded *Spread `json:"received_to_recorded"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (d ReportDesk) MarshalJSON() ([]byte, error) { return encode(d) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (d *ReportDesk) UnmarshalJSON(text []byte) error { return decode(text, d) }

// ReportSubscriber is how far a subscriber got with the objections of a report that concerned it.
type ReportSubscriber struct {
	// Subscriber is the event that registered it.
	Subscriber EventID        `json:"subscriber"`
	Name       string         `json:"name"`
	Kind       SubscriberKind `json:"kind"`
	Owner      string         `json:"owner"`
	RemovedAt  time.Time      `json:"removed_at"`
	Deadline   time.Duration  `json:"deadline_seconds"`
	// Late says that it is late now, whatever the period.
	Late bool `json:"late"`
	// ComparedAt is when an export of its own was last compared with what it acknowledged; zero:
	// never. Of Expected numbers Missing ones were not in the export.
	ComparedAt time.Time `json:"compared_at"`
	Expected   uint64    `json:"expected"`
	Missing    uint64    `json:"missing"`
	// Stages are two for each stage, from received to applied: single objections, and rows of files.
	Stages []ReportStage `json:"stages"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (s ReportSubscriber) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *ReportSubscriber) UnmarshalJSON(text []byte) error { return decode(text, s) }

// ReportStage is how far a subscriber got at a stage.
type ReportStage struct {
	Stage Stage `json:"stage"`
	// Imported ones are rows of files.
	Imported bool `json:"imported"`
	// RecordedToAcknowledged is until the acknowledgement was recorded; nil: none was.
	RecordedToAcknowledged *Spread `json:"recorded_to_acknowledged"`
	// Claimed ones of these are not proven by a signature.
	Claimed uint64 `json:"claimed"`
	// Pending objections are not acknowledged; the oldest was recorded at OldestPending.
	Pending       uint64    `json:"pending"`
	OldestPending time.Time `json:"oldest_pending"`
	// Late ones took longer than the deadline of their time, or are pending for longer.
	Late uint64 `json:"late"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (s ReportStage) MarshalJSON() ([]byte, error) { return encode(s) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (s *ReportStage) UnmarshalJSON(text []byte) error { return decode(text, s) }

// PropagationReport reports on the objections that were recorded from a time on and before another; zero does not bound the
// period. OnProgress, if not nil, is called from time to time with the revisions that were read, and with all of the
// period. There is no deadline but that of ctx, and nothing is tried again.
func (c *Client) PropagationReport(ctx context.Context, from, to time.Time, onProgress func(done, total uint64)) (*Report, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request := new(dncv1.GetReportRequest)
	if !from.IsZero() {
		request.From = timestamppb.New(from)
	}
	if !to.IsZero() {
		request.To = timestamppb.New(to)
	}
	stream, err := c.pick().propagation.GetReport(ctx, request)
	if err != nil {
		return nil, fromStatus(err)
	}
	for r := new(Report); ; {
		frame, err := stream.Recv()
		if err == io.EOF {
			return nil, broken("the report was cut before its end: try again")
		}
		if err != nil {
			return nil, fromStatus(err)
		}
		if p := frame.GetProgress(); p != nil && onProgress != nil {
			onProgress(p.GetRevisions(), p.GetTotal())
		}
		if r.take(frame) {
			return r, nil
		}
	}
}

// take takes a frame, and reports whether it was the last.
func (r *Report) take(frame *dncv1.GetReportResponse) (isWhole bool) {
	switch {
	case frame.GetDesk() != nil:
		r.Desks = append(r.Desks, fromReportDesk(frame.GetDesk()))
	case frame.GetSubscriber() != nil:
		r.Subscribers = append(r.Subscribers, fromReportSubscriber(frame.GetSubscriber()))
	case frame.GetSummary() != nil:
		m := frame.GetSummary()
		r.ReportSummary = ReportSummary{
			From: fromTime(m.GetFrom()), To: fromTime(m.GetTo()), Time: fromTime(m.GetTime()),
			OptOuts: m.GetOptOuts(), Imported: m.GetImported(), Expired: m.GetExpired(), Withdrawals: m.GetWithdrawals(),
			Position: fromPosition(m.GetPosition()),
		}
		return true
	}
	return false
}

func fromReportDesk(m *dncv1.ReportDesk) ReportDesk {
	return ReportDesk{
		Desk:               fromEventID(m.GetDesk()),
		Name:               m.GetName(),
		Kind:               name[DeskKind](m.GetKind(), "DESK_KIND_"),
		RemovedAt:          fromTime(m.GetRemovedAt()),
		Channel:            name[Channel](m.GetChannel(), "CHANNEL_"),
		Imported:           m.GetImported(),
		OptOuts:            m.GetOptOuts(),
		ReceivedToRecorded: fromSpread(m.GetReceivedToRecorded()),
	}
}

func fromReportSubscriber(m *dncv1.ReportSubscriber) ReportSubscriber {
	return ReportSubscriber{
		Subscriber: fromEventID(m.GetSubscriber()),
		Name:       m.GetName(),
		Kind:       name[SubscriberKind](m.GetKind(), "SUBSCRIBER_KIND_"),
		Owner:      m.GetOwner(),
		RemovedAt:  fromTime(m.GetRemovedAt()),
		Deadline:   m.GetDeadline().AsDuration(),
		Late:       m.GetLate(),
		ComparedAt: fromTime(m.GetLastComparison().GetTime()),
		Expected:   m.GetLastComparison().GetExpected(),
		Missing:    m.GetLastComparison().GetMissing(),
		Stages:     each(m.GetStages(), fromReportStage),
	}
}

func fromReportStage(m *dncv1.ReportStage) ReportStage {
	return ReportStage{
		Stage:                  name[Stage](m.GetStage(), "STAGE_"),
		Imported:               m.GetImported(),
		RecordedToAcknowledged: fromSpread(m.GetRecordedToAcknowledged()),
		Claimed:                m.GetClaimed(),
		Pending:                m.GetPending(),
		OldestPending:          fromTime(m.GetOldestPending()),
		Late:                   m.GetLate(),
	}
}

// fromSpread is nil for one of nothing.
func fromSpread(m *dncv1.Spread) *Spread {
	if m.GetCount() == 0 {
		return nil
	}
	return &Spread{m.GetCount(), m.GetMedian().AsDuration(), m.GetP95().AsDuration(), m.GetWorst().AsDuration()}
}
