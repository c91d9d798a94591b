package client

import (
	"context"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// ServerStats is the state of the server's store, at one position.
type ServerStats struct {
	Position
	RevisionTime time.Time `json:"revision_time"`
	// HistoryFrom is the first revision that the kept journal holds.
	HistoryFrom uint64 `json:"history_from"`
	// State is StoreReady while the store takes writes; otherwise StateMessage says what to do.
	State        StoreState `json:"state"`
	StateMessage string     `json:"state_message"`
	// RecordNumbers is how many numbers hold a record.
	RecordNumbers      uint64        `json:"record_numbers"`
	Records            uint64        `json:"records"`
	RecordsFilter      *FilterStats  `json:"records_filter"`
	Lists              []ListStats   `json:"lists"`
	DiskBytes          uint64        `json:"disk_bytes"`
	DiskFreeBytes      uint64        `json:"disk_free_bytes"`
	MinFreeBytes       uint64        `json:"min_free_bytes"`
	OldestList         string        `json:"oldest_list"`
	OldestSnapshotDate string        `json:"oldest_snapshot_date"`
	PolicyVersion      string        `json:"policy_version"`
	BlockCacheBytes    uint64        `json:"block_cache_bytes"`
	Uptime             time.Duration `json:"uptime"`
	OpenDuration       time.Duration `json:"open_duration"`
	Version            string        `json:"version"`
	// ClockAhead is how far the clock, or the last event, is ahead of what the time should be; 0 below a day.
	ClockAhead time.Duration `json:"clock_ahead"`
}

// ListStats is one list in numbers.
type ListStats struct {
	Name         string    `json:"name"`
	ID           string    `json:"id"`
	State        ListState `json:"state"`
	Numbers      uint64    `json:"numbers"`
	Bytes        uint64    `json:"bytes"`
	SnapshotDate string    `json:"snapshot_date"`
	// ContentRevision is the revision that its content is read at; 0: not loaded.
	ContentRevision uint64 `json:"visible" zero:"unset"`
	// Filter in front of it; nil: none yet.
	Filter *FilterStats `json:"filter"`
}

// FilterStats is a filter in numbers. Ratios and rates are 0 to 1.
type FilterStats struct {
	Bytes             uint64  `json:"bytes"`
	Count             uint64  `json:"count"`
	FillRatio         float64 `json:"fill_ratio"`
	FalsePositiveRate float64 `json:"false_positive_rate"`
	LongestChain      uint32  `json:"longest_chain"`
	Rebuilding        bool    `json:"rebuilding"`
}

// ServerStats returns the state of the server's store, also while it is damaged.
func (c *Client) ServerStats(ctx context.Context) (ServerStats, error) {
	s, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.GetStatsResponse, error) {
		return on.admin.GetStats(ctx, &dncv1.GetStatsRequest{})
	})
	if err != nil {
		return ServerStats{}, err
	}
	return ServerStats{
		Position:           fromPosition(s.GetPosition()),
		RevisionTime:       fromTime(s.GetRevisionTime()),
		HistoryFrom:        s.GetHistoryFrom(),
		State:              name[StoreState](s.GetState(), "STORE_STATE_"),
		StateMessage:       s.GetStateMessage(),
		RecordNumbers:      s.GetRecordNumbers(),
		Records:            s.GetRecords(),
		RecordsFilter:      fromFilter(s.GetRecordsFilter()),
		Lists:              each(s.GetLists(), fromListStats),
		DiskBytes:          s.GetDiskBytes(),
		DiskFreeBytes:      s.GetDiskFreeBytes(),
		MinFreeBytes:       s.GetMinFreeBytes(),
		OldestList:         s.GetOldestList(),
		OldestSnapshotDate: s.GetOldestSnapshotDate(),
		PolicyVersion:      s.GetPolicyVersion(),
		BlockCacheBytes:    s.GetBlockCacheBytes(),
		Uptime:             s.GetUptime().AsDuration(),
		OpenDuration:       s.GetOpenDuration().AsDuration(),
		Version:            s.GetVersion(),
		ClockAhead:         s.GetClockAhead().AsDuration(),
	}, nil
}

func fromListStats(l *dncv1.ListStats) ListStats {
	return ListStats{
		Name:         l.GetName(),
		ID:           fromListID(l.GetId()),
		State:        name[ListState](l.GetState(), "LIST_STATE_"),
		Numbers:      l.GetNumbers(),
		Bytes:        l.GetBytes(),
		SnapshotDate: l.GetSnapshotDate(),
		Filter:       fromFilter(l.GetFilter()),

		ContentRevision: l.GetContentRevision(),
	}
}

func fromFilter(f *dncv1.FilterStats) *FilterStats {
	if f == nil {
		return nil
	}
	return &FilterStats{
		Bytes:             f.GetBytes(),
		Count:             f.GetCount(),
		FillRatio:         f.GetFillRatio(),
		FalsePositiveRate: f.GetFalsePositiveRate(),
		LongestChain:      f.GetLongestChain(),
		Rebuilding:        f.GetRebuilding(),
	}
}
