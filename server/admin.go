package server

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type adminService struct {
	dncv1.UnimplementedAdminServiceServer
	service
	rates rates
}

// rateAge is how old the measured rate of a filter may be. Measuring takes a millisecond, and GetStats takes no room of
// admission.
const rateAge = time.Second

// rates caches the false-positive rates of filters by the name of the list. The name of the records' filter is empty.
type rates struct {
	mu    sync.Mutex
	known map[string]measuredRate
}

type measuredRate struct {
	visible uint64 // the revision of the list's content
	at      time.Time
	rate    float64
}

// of returns the rate of a filter, measured at most rateAge ago.
func (r *rates) of(list string, visible uint64, f store.FilterStats) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if m, ok := r.known[list]; ok && m.visible == visible && now.Sub(m.at) < rateAge {
		return m.rate
	}
	maps.DeleteFunc(r.known, func(_ string, m measuredRate) bool { return now.Sub(m.at) >= rateAge }) // lists that were deleted
	if r.known == nil {
		r.known = make(map[string]measuredRate)
	}
	m := measuredRate{visible: visible, at: now, rate: f.FPR()}
	r.known[list] = m
	return m.rate
}

// GetStats implements dncv1.AdminServiceServer.
//
// The sizes and counts are those of the whole store, whatever the caller may see.
func (s *adminService) GetStats(ctx context.Context, _ *dncv1.GetStatsRequest) (*dncv1.GetStatsResponse, error) {
	st := s.store.Stats()
	caller := callerOf(ctx)
	st.Lists = slices.DeleteFunc(slices.Clone(st.Lists), func(l *store.List) bool { return !caller.Sees(l.Scope) })
	now := s.store.Now()
	resp := &dncv1.GetStatsResponse{
		Position:        &dncv1.Position{Revision: st.Revision, JournalId: st.JournalID, Tag: st.Tag},
		RevisionTime:    stamp(st.Time),
		HistoryFrom:     historyFrom,
		State:           stateOf(st.State),
		StateMessage:    stateText(st.State),
		RecordNumbers:   st.Numbers,
		Records:         st.Records,
		RecordsFilter:   s.filterMessage("", 0, st.RecordsFilter),
		DiskBytes:       st.DiskBytes,
		DiskFreeBytes:   count(st.FreeBytes),
		MinFreeBytes:    count(st.MinFree),
		BlockCacheBytes: st.CacheBytes,
		Uptime:          durationpb.New(time.Since(s.started)),
		OpenDuration:    durationpb.New(st.OpenedIn),
		Version:         s.version,
		PolicyVersion:   st.PolicyVersion,
		ClockAhead:      clockAhead(&st),
	}
	for _, l := range st.Lists {
		resp.Lists = append(resp.Lists, s.listStats(l, now))
	}
	if l := oldest(st.Lists); l != nil {
		resp.OldestList, resp.OldestSnapshotDate = l.Name, l.SnapshotDate.String()
	}
	return resp, nil
}

// clockAhead is unset below a jump: clocks are adjusted by seconds all the time.
func clockAhead(st *store.Stats) *durationpb.Duration {
	if !st.ClockJumped() {
		return nil
	}
	return durationpb.New(st.Ahead)
}

// count converts a size for the wire. Free space can be negative inside the store, when less is free than was promised.
func count(n int64) uint64 { return uint64(max(n, 0)) }

func (s *adminService) listStats(l *store.List, now time.Time) *dncv1.ListStats {
	return &dncv1.ListStats{
		Name:            l.Name,
		Id:              eventID(l.ID),
		State:           listState(l, now),
		Numbers:         l.Numbers,
		SnapshotDate:    l.SnapshotDate.String(),
		ContentRevision: l.ContentRevision,
		Filter:          s.filterMessage(l.Name, l.ContentRevision, l.FilterStats()),
	}
}

func (s *adminService) filterMessage(list string, visible uint64, f store.FilterStats) *dncv1.FilterStats {
	if !f.Ready {
		return nil
	}
	return &dncv1.FilterStats{
		Bytes:             f.Bytes,
		Count:             f.Numbers,
		FillRatio:         f.Fill,
		FalsePositiveRate: s.rates.of(list, visible, f),
		LongestChain:      uint32(f.Chain),
	}
}

// oldest returns the loaded list with the oldest snapshot date; nil when none has one.
func oldest(lists []*store.List) *store.List {
	var found *store.List
	for _, l := range lists {
		if l.Loaded && l.SnapshotDate != 0 && (found == nil || l.SnapshotDate < found.SnapshotDate) {
			found = l
		}
	}
	return found
}

func stateOf(s store.State) dncv1.StoreState {
	switch {
	case s.Cause == nil:
		return dncv1.StoreState_STORE_STATE_READY
	case errors.Is(s.Cause, store.ErrDamaged):
		return dncv1.StoreState_STORE_STATE_DAMAGED
	case errors.Is(s.Cause, store.ErrStoriesDamaged):
		return dncv1.StoreState_STORE_STATE_STORIES_DAMAGED
	case errors.Is(s.Cause, store.ErrClockJumped):
		return dncv1.StoreState_STORE_STATE_CLOCK_JUMPED
	case errors.Is(s.Cause, store.ErrDiskFull):
		return dncv1.StoreState_STORE_STATE_DISK_FULL
	}
	return dncv1.StoreState_STORE_STATE_READ_ONLY
}

// stateText says what happened to the store and what to do; it is empty when the store is ready.
func stateText(s store.State) string {
	if s.Cause == nil {
		return ""
	}
	return withoutDigits(faultOf(s.Cause).message)
}

// dateSeconds is the start of a day in Unix seconds.
func dateSeconds(d policy.Date) float64 { return float64(d.Time().Unix()) }
