package server

import (
	"context"
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

const actsCall = "ListActs"

// ListActs implements dncv1.AccessServiceServer. A caller that is bound to scopes sees the acts about lists and tokens
// within them.
func (s *accessService) ListActs(ctx context.Context, req *dncv1.ListActsRequest) (*dncv1.ListActsResponse, error) {
	v, caller := s.store.View(), callerOf(ctx)
	q := store.ActsQuery{Limit: pageSize(req.GetPageSize())}
	var err error
	if q.From, q.To, err = period(req.GetFrom(), req.GetTo()); err != nil {
		return nil, err
	}
	subject := periodText(q.From, q.To)
	if req.GetPageToken() != "" {
		cursor, err := s.tokens.read(req.GetPageToken(), actsCall, subject)
		if err != nil {
			return nil, err
		}
		q.At = policy.EventID{Revision: binary.BigEndian.Uint64(cursor), Index: binary.BigEndian.Uint32(cursor[8:])}
	}
	found, next, err := v.Acts(q)
	if err != nil {
		return nil, err
	}
	resp := &dncv1.ListActsResponse{Position: positionOf(v)}
	for i := range found {
		if mayRead(caller, &found[i]) {
			resp.Acts = append(resp.Acts, actMessage(&found[i]))
		}
	}
	if next.Revision != 0 {
		cursor := binary.BigEndian.AppendUint64(nil, next.Revision)
		resp.NextPageToken = s.tokens.make(actsCall, subject, binary.BigEndian.AppendUint32(cursor, next.Index))
	}
	return resp, nil
}

// mayRead reports whether the caller may see an act.
func mayRead(caller *access.Grant, a *store.Act) bool {
	return caller.Everywhere() || (len(a.Scopes) > 0 && caller.HoldsAll(a.Scopes))
}

func actMessage(a *store.Act) *dncv1.Act {
	return &dncv1.Act{
		Id:               eventID(a.ID),
		Time:             stamp(a.Time),
		Kind:             dncv1.ActKind(a.Kind),
		RecordedBy:       a.RecordedBy,
		RecordedByProven: a.Proven,
		Subject:          a.Subject,
		Detail:           a.Detail,
	}
}

// period reads the times between which acts or accesses are listed; zero: not set.
func period(from, to *timestamppb.Timestamp) (begin, end time.Time, err error) {
	if begin, err = timeOf("from", from); err != nil {
		return begin, end, err
	}
	if end, err = timeOf("to", to); err != nil {
		return begin, end, err
	}
	if !begin.IsZero() && !end.IsZero() && !begin.Before(end) {
		return begin, end, invalidField("to", "is not after from")
	}
	return begin, end, nil
}

// periodText binds the token of a page to the times that were asked for.
func periodText(from, to time.Time) string {
	return from.Format(time.RFC3339Nano) + " " + to.Format(time.RFC3339Nano)
}
