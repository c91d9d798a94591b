package server

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// message is a list on the wire, without its loads; nil if the list was deleted meanwhile.
func (s *service) message(l *store.List) *dncv1.List {
	if l == nil {
		return nil
	}
	return &dncv1.List{
		Name:              l.Name,
		Id:                eventID(l.ID),
		Kind:              listKindOf(l.Kind),
		Scope:             string(l.Scope),
		Jurisdiction:      l.Settings.Jurisdiction,
		Coverage:          l.Settings.Coverage,
		EffectiveCoverage: l.Coverage,
		MaxAge:            maxAge(l.MaxAgeDays),
		State:             listState(l, s.store.Now()),
		SnapshotDate:      l.SnapshotDate.String(),
		Numbers:           l.Numbers,
		ContentRevision:   l.ContentRevision,
		CreatedAt:         stamp(l.CreatedAt),
		UpdatedRevision:   l.UpdatedRevision,
		UpdatedAt:         stamp(l.UpdatedAt),
	}
}

func maxAge(days int) *durationpb.Duration {
	if days == 0 {
		return nil
	}
	return durationpb.New(time.Duration(days) * day)
}

func listState(l *store.List, now time.Time) dncv1.ListState {
	switch {
	case !l.Loaded:
		return dncv1.ListState_LIST_STATE_NOT_LOADED
	case l.IsStale(now):
		return dncv1.ListState_LIST_STATE_STALE
	}
	return dncv1.ListState_LIST_STATE_LOADED
}
