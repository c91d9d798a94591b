package server

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// GetSubscriber implements dncv1.PropagationServiceServer.
func (s *propagationService) GetSubscriber(ctx context.Context, req *dncv1.GetSubscriberRequest) (*dncv1.GetSubscriberResponse, error) {
	v, caller := s.store.View(), callerOf(ctx)
	one, err := findSubscriber(v, caller, req.GetName())
	if err != nil {
		return nil, err
	}
	tree, err := s.presence.standings(v, treeOf(v, one))
	if err != nil {
		return nil, err
	}
	return &dncv1.GetSubscriberResponse{Status: statusMessage(v, caller, tree[0]), Position: positionOf(v)}, nil
}

const subscribersCall = "ListSubscribers"

// ListSubscribers implements dncv1.PropagationServiceServer.
func (s *propagationService) ListSubscribers(ctx context.Context, req *dncv1.ListSubscribersRequest) (*dncv1.ListSubscribersResponse, error) {
	v, caller := s.store.View(), callerOf(ctx)
	after, err := s.readPlace(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	all, err := s.presence.standings(v, v.Subscribers().All())
	if err != nil {
		return nil, err
	}
	slowestFirst(all)
	resp, bytes := &dncv1.ListSubscribersResponse{Position: positionOf(v)}, 0
	last := after
	for _, st := range all {
		if after != nil && st.place().compare(*after) <= 0 || !seesFilter(caller, st.sub.Filter) {
			continue
		}
		m := statusMessage(v, caller, st)
		bytes += proto.Size(m)
		if n := len(resp.Subscribers); n == pageSize(req.GetPageSize()) || n > 0 && bytes > pageBytes {
			resp.NextPageToken, err = s.placeToken(last)
			return resp, err
		}
		resp.Subscribers = append(resp.Subscribers, m)
		at := st.place()
		last = &at
	}
	return resp, nil
}

// readPlace reads the place after which a page begins; nil: it is the first.
func (s *propagationService) readPlace(token string) (*place, error) {
	if token == "" {
		return nil, nil
	}
	cursor, err := s.tokens.read(token, subscribersCall, "")
	if err != nil {
		return nil, err
	}
	at := new(place)
	if err := json.Unmarshal(cursor, at); err != nil {
		return nil, fmt.Errorf("decode page token: %w", err)
	}
	return at, nil
}

func (s *propagationService) placeToken(at *place) (string, error) {
	cursor, err := json.Marshal(at)
	if err != nil {
		return "", fmt.Errorf("encode page token: %w", err)
	}
	return s.tokens.make(subscribersCall, "", cursor), nil
}

// statusMessage is a standing as the contract has it. That one below it is late is said also to a caller who does not see which.
func statusMessage(v *store.View, caller *access.Grant, st *standing) *dncv1.SubscriberStatus {
	m := &dncv1.SubscriberStatus{
		Subscriber: subscriberMessage(v, st.sub),
		Connected:  uint32(st.present.streams),
		LastSeen:   stamp(st.present.seen),
		Late:       st.isLate(),

		LastComparison: comparisonMessage(v, st.sub.Compared),
	}
	if st.worst != nil && (seesFilter(caller, st.worst.sub.Filter) || speaksFor(caller, st.sub)) {
		m.WorstChild = st.worst.sub.Name
	}
	for stage := feed.Received; stage <= feed.Applied; stage++ {
		m.Stages = append(m.Stages, stageStatus(v, st, stage))
	}
	for _, b := range st.present.beyond {
		m.BeyondTip = append(m.BeyondTip, &dncv1.BeyondTip{
			Position: &dncv1.Position{Revision: b.at.Revision, JournalId: b.at.Journal, Tag: b.at.Tag[:]},
			SeenAt:   timestamppb.New(b.seen),
			Note:     b.note,
		})
	}
	return m
}

func stageStatus(v *store.View, st *standing, stage feed.Stage) *dncv1.StageStatus {
	lag := st.lag.Of(stage)
	m := &dncv1.StageStatus{
		Stage:         dncv1.Stage(stage),
		Pending:       lag.Pending,
		OldestPending: stamp(lag.Oldest),
		Late:          lag.Late(st.now, st.sub.Deadline),
	}
	if a := lag.Acknowledged; a != nil {
		m.Acknowledged = &dncv1.FeedCursor{
			Position: &dncv1.Position{Revision: a.Revision, JournalId: v.JournalID(), Tag: v.TagAt(a.Revision)},
			Epoch:    a.Epoch, Changes: a.Changes, Hash: a.Hash[:],
		}
		m.AcknowledgedAt, m.IsSigned = timestamppb.New(a.Time), a.Signed
	}
	return m
}
