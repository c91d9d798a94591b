package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type reportStream = grpc.ServerStreamingServer[dncv1.GetReportResponse]

// GetReport implements dncv1.PropagationServiceServer.
func (s *propagationService) GetReport(req *dncv1.GetReportRequest, stream reportStream) error {
	from, to, err := period(req.GetFrom(), req.GetTo())
	if err != nil {
		return err
	}
	ctx, cancel := s.untilStopping(stream.Context())
	defer cancel()
	w := &reportWriter{s: s, v: s.store.View(), stream: stream, told: time.Now()}
	nice.Do(func() { err = w.write(ctx, store.ReportQuery{From: from, To: to}) }) // checks take precedence
	return unlessStopping(ctx, stream.Context(), err)
}

// reportWriter is one stream that sends a report.
type reportWriter struct {
	s      *propagationService
	v      *store.View
	stream reportStream
	told   time.Time
}

func (w *reportWriter) write(ctx context.Context, q store.ReportQuery) error {
	r, err := w.v.Propagation(ctx, q, w.progress)
	if err != nil {
		return err
	}
	late, err := w.late()
	if err != nil {
		return err
	}
	for _, d := range r.Desks {
		if err := w.stream.Send(&dncv1.GetReportResponse{Frame: &dncv1.GetReportResponse_Desk{Desk: reportDeskMessage(d)}}); err != nil {
			return err
		}
	}
	for _, sub := range r.Subscribers {
		m := reportSubscriberMessage(w.v, sub)
		m.Late = late[sub.ID]
		if err := w.stream.Send(&dncv1.GetReportResponse{Frame: &dncv1.GetReportResponse_Subscriber{Subscriber: m}}); err != nil {
			return err
		}
	}
	return w.stream.Send(&dncv1.GetReportResponse{Frame: &dncv1.GetReportResponse_Summary{Summary: &dncv1.ReportSummary{
		From: stamp(q.From), To: stamp(q.To), Time: stamp(r.Time),
		OptOuts: r.OptOuts, Imported: r.Imported, Expired: r.Expired, Withdrawals: r.Withdrawals,
		Position: positionOf(w.v),
	}}})
}

// progress says from time to time how far the report is.
func (w *reportWriter) progress(read, total uint64) {
	if time.Since(w.told) < progressEvery {
		return
	}
	w.told = time.Now()
	_ = w.stream.Send(&dncv1.GetReportResponse{Frame: &dncv1.GetReportResponse_Progress{ // the context ends when the client is gone
		Progress: &dncv1.ReportProgress{Revisions: read, Total: total},
	}})
}

// late are the subscribers that are late now.
func (w *reportWriter) late() (map[policy.EventID]bool, error) {
	all, err := w.s.presence.standings(w.v, w.v.Subscribers().All())
	late := make(map[policy.EventID]bool, len(all))
	for _, st := range all {
		late[st.sub.ID] = st.isLate()
	}
	return late, err
}

func reportDeskMessage(d *store.ReportDesk) *dncv1.ReportDesk {
	m := &dncv1.ReportDesk{
		Channel: dncv1.Channel(d.Channel), Imported: d.Imported, OptOuts: d.OptOuts, ReceivedToRecorded: spreadMessage(&d.Received),
	}
	if d.Desk != nil {
		m.Desk, m.Name, m.Kind, m.RemovedAt = eventID(d.Desk.ID), d.Desk.Name, dncv1.DeskKind(d.Desk.Kind), stamp(d.Desk.RemovedAt)
	}
	return m
}

func reportSubscriberMessage(v *store.View, sub *store.ReportSubscriber) *dncv1.ReportSubscriber {
	m := &dncv1.ReportSubscriber{
		Subscriber: eventID(sub.ID), Name: sub.Name, Kind: dncv1.SubscriberKind(sub.Kind), Owner: sub.Owner,
		RemovedAt: stamp(sub.RemovedAt), Deadline: durationpb.New(sub.Deadline),
		LastComparison: comparisonMessage(v, sub.Compared),
	}
	for stage := feed.Received; stage <= feed.Applied; stage++ {
		m.Stages = append(m.Stages, reportStageMessage(stage, false, sub.Single.Of(stage)), reportStageMessage(stage, true, sub.Imported.Of(stage)))
	}
	return m
}

func reportStageMessage(stage feed.Stage, imported bool, s *store.ReportStage) *dncv1.ReportStage {
	return &dncv1.ReportStage{
		Stage: dncv1.Stage(stage), Imported: imported, RecordedToAcknowledged: spreadMessage(&s.Acknowledged),
		Claimed: s.Claimed, Pending: s.Pending, OldestPending: stamp(s.Oldest), Late: s.Late,
	}
}

func spreadMessage(s *store.Spread) *dncv1.Spread {
	m := &dncv1.Spread{Count: s.Count()}
	if m.Count > 0 {
		m.Median, m.P95, m.Worst = durationpb.New(s.Quantile(0.5)), durationpb.New(s.Quantile(0.95)), durationpb.New(s.Quantile(1))
	}
	return m
}
