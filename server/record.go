package server

import (
	"context"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type recordService struct {
	dncv1.UnimplementedRecordServiceServer
	service
}

// receivedSkew is how far the clock of a desk may be ahead of the server's.
const receivedSkew = 24 * time.Hour

// RecordOptOut implements dncv1.RecordServiceServer.
func (s *recordService) RecordOptOut(ctx context.Context, req *dncv1.RecordOptOutRequest) (*dncv1.RecordOptOutResponse, error) {
	resp, err := s.recordOptOut(ctx, req)
	s.metrics.wrote(writeOptOut, resp.GetDuplicate(), err)
	return resp, err
}

func (s *recordService) recordOptOut(ctx context.Context, req *dncv1.RecordOptOutRequest) (*dncv1.RecordOptOutResponse, error) {
	n, err := numberOf(req.GetNumber(), req.GetRegion())
	if err != nil {
		return nil, err
	}
	o, err := s.optOut(n, req)
	if err != nil {
		return nil, err
	}
	story := store.Story{Desk: req.GetDesk(), Evidence: req.GetEvidence(), Note: req.GetNote()}
	r, err := s.request(ctx, req.GetContext(), story)
	if err != nil {
		return nil, err
	}
	receipt, err := s.store.RecordOptOut(ctx, o, r)
	if err != nil {
		return nil, err
	}
	return &dncv1.RecordOptOutResponse{
		Id:         eventID(receipt.ID),
		Position:   positionAt(receipt),
		Duplicate:  receipt.Duplicate,
		Number:     n.E164(),
		RecordedAt: stamp(receipt.Time),
	}, nil
}

// optOut is what a request records, without its story.
func (s *recordService) optOut(n phone.Number, req *dncv1.RecordOptOutRequest) (store.OptOut, error) {
	o := store.OptOut{Number: n, Channel: policy.Channel(req.GetChannel())}
	if err := knownEnum("channel", int32(req.GetChannel()), dncv1.Channel_name); err != nil {
		return o, err
	}
	var err error
	if o.Scope, err = scopeOf(req.GetScope()); err != nil {
		return o, err
	}
	if o.ReceivedAt, err = timeOf("received_at", req.GetReceivedAt()); err != nil {
		return o, err
	}
	if o.ExpiresAt, err = timeOf("expires_at", req.GetExpiresAt()); err != nil {
		return o, err
	}
	return o, checkTimes(o, instantOf(s.store.View()))
}

func checkTimes(o store.OptOut, at instant) error {
	if err := checkReceived(o.ReceivedAt, at); err != nil {
		return err
	}
	if err := checkEnded(o, at); err != nil {
		return err
	}
	return checkExpires(o)
}

func checkReceived(received time.Time, at instant) error {
	if received.After(at.now.Add(receivedSkew)) {
		return invalidField("received_at", "is more than a day in the future: check the date")
	}
	return nil
}

// checkEnded refuses an opt-out that has expired already.
func checkEnded(o store.OptOut, at instant) error {
	if !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(at.byClock()) {
		return invalidField("expires_at", "has passed: the opt-out would never count")
	}
	return nil
}

func checkExpires(o store.OptOut) error {
	if !o.ExpiresAt.IsZero() && !o.ExpiresAt.After(o.ReceivedAt) {
		return invalidField("expires_at", "must be later than received_at")
	}
	return nil
}

// request returns what accompanies a write: its id, and its story with who recorded it.
func (s *service) request(ctx context.Context, c *dncv1.WriteContext, story store.Story) (store.Request, error) {
	err := checkText(
		field{name: "request_id", value: c.GetRequestId(), max: maxRequestID},
		field{name: "desk", value: story.Desk, max: maxDesk},
		field{name: "evidence", value: story.Evidence, max: maxEvidence},
		field{name: "note", value: story.Note, max: maxNote, lines: true},
		field{name: "reason", value: story.Reason, max: maxReason},
	)
	if err != nil {
		return store.Request{}, err
	}
	if err := recorder(ctx, c.GetOnBehalfOf(), &story); err != nil {
		return store.Request{}, err
	}
	return store.Request{ID: c.GetRequestId(), Story: story}, nil
}

// WithdrawOptOut implements dncv1.RecordServiceServer.
func (s *recordService) WithdrawOptOut(ctx context.Context, req *dncv1.WithdrawOptOutRequest) (*dncv1.WithdrawOptOutResponse, error) {
	resp, err := s.withdrawOptOut(ctx, req)
	s.metrics.wrote(writeWithdrawal, resp.GetDuplicate(), err)
	return resp, err
}

func (s *recordService) withdrawOptOut(ctx context.Context, req *dncv1.WithdrawOptOutRequest) (*dncv1.WithdrawOptOutResponse, error) {
	n, err := numberOf(req.GetNumber(), req.GetRegion())
	if err != nil {
		return nil, err
	}
	scope, err := scopeOf(req.GetScope())
	if err != nil {
		return nil, err
	}
	if req.GetReason() == "" {
		return nil, invalidField("reason", "is missing: say why the number becomes callable")
	}
	r, err := s.request(ctx, req.GetContext(), store.Story{Reason: req.GetReason(), Desk: req.GetDesk()})
	if err != nil {
		return nil, err
	}
	if r.Why, err = withdrawalReason(req.GetWithdrawalReason()); err != nil {
		return nil, err
	}
	receipt, err := s.store.WithdrawOptOut(ctx, n, scope, r)
	if err != nil {
		return nil, err
	}
	return &dncv1.WithdrawOptOutResponse{
		Id:         eventID(receipt.ID),
		Position:   positionAt(receipt),
		Duplicate:  receipt.Duplicate,
		Number:     n.E164(),
		Withdrawn:  uint32(receipt.Ended),
		RecordedAt: stamp(receipt.Time),
	}, nil
}
