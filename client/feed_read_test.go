package client

import (
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/dncd/dncd/internal/ascending"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

func feedFrame(c *dncv1.FeedChunk) *dncv1.GetFeedResponse {
	return &dncv1.GetFeedResponse{Frame: &dncv1.GetFeedResponse_Chunk{Chunk: c}}
}

func rowFrame(rows ...*dncv1.FeedRow) *dncv1.GetFeedResponse {
	return feedFrame(&dncv1.FeedChunk{Rows: rows})
}

func listFrame(removed bool, stillBlocked []uint32, numbers ...uint64) *dncv1.GetFeedResponse {
	return feedFrame(&dncv1.FeedChunk{
		ListRows:     &dncv1.FeedListRows{List: &dncv1.EventId{Revision: 7}, Removed: removed, Ascending: ascending.Append(nil, 0, numbers...)},
		StillBlocked: stillBlocked,
	})
}

// TestFeedIsWhatItsSummaryCounts holds which feeds of changes are taken, and which are broken.
func TestFeedIsWhatItsSummaryCounts(t *testing.T) {
	t.Parallel()
	const a, b = 14155550100, 14155550101
	at := &dncv1.FeedCursor{Position: &dncv1.Position{Revision: 9}}
	header := func(h *dncv1.FeedHeader) *dncv1.GetFeedResponse {
		h.Cursor, h.Lists = at, []*dncv1.FeedList{{Id: &dncv1.EventId{Revision: 7}, Name: "mine", Scope: "acme"}}
		return &dncv1.GetFeedResponse{Frame: &dncv1.GetFeedResponse_Header{Header: h}}
	}
	since := header(&dncv1.FeedHeader{After: &dncv1.FeedCursor{Position: &dncv1.Position{Revision: 8}}})
	end := func(set, removed, came, went uint64) *dncv1.GetFeedResponse {
		return &dncv1.GetFeedResponse{Frame: &dncv1.GetFeedResponse_Summary{
			Summary: &dncv1.FeedSummary{Set: set, Removed: removed, ListAdded: came, ListRemoved: went},
		}}
	}
	gone := &dncv1.FeedRow{Number: b, Removed: true}
	for name, c := range map[string]struct {
		frames []*dncv1.GetFeedResponse
		want   error
	}{
		"as it should be":            {[]*dncv1.GetFeedResponse{since, rowFrame(&dncv1.FeedRow{Number: a}, gone), listFrame(false, nil, b), listFrame(true, []uint32{0}, a, b), end(1, 1, 1, 2)}, nil},
		"a row that is not counted":  {[]*dncv1.GetFeedResponse{since, rowFrame(gone), end(0, 0, 0, 0)}, ErrFeedBroken},
		"a number that went, lost":   {[]*dncv1.GetFeedResponse{since, listFrame(true, nil, a), end(0, 0, 0, 2)}, ErrFeedBroken},
		"rows out of order":          {[]*dncv1.GetFeedResponse{since, rowFrame(gone, &dncv1.FeedRow{Number: a}), end(1, 1, 0, 0)}, ErrFeedBroken},
		"numbers out of order":       {[]*dncv1.GetFeedResponse{since, listFrame(false, nil, b), listFrame(false, nil, a), end(0, 0, 2, 0)}, ErrFeedBroken},
		"removals before additions":  {[]*dncv1.GetFeedResponse{since, listFrame(true, nil, a), listFrame(false, nil, b), end(0, 0, 1, 1)}, ErrFeedBroken},
		"a place that is not there":  {[]*dncv1.GetFeedResponse{since, listFrame(true, []uint32{1}, a), end(0, 0, 0, 1)}, ErrFeedBroken},
		"a place among additions":    {[]*dncv1.GetFeedResponse{since, listFrame(false, []uint32{0}, a), end(0, 0, 1, 0)}, ErrFeedBroken},
		"gone from a snapshot":       {[]*dncv1.GetFeedResponse{header(&dncv1.FeedHeader{}), rowFrame(gone), end(0, 1, 0, 0)}, ErrFeedBroken},
		"went from a snapshot":       {[]*dncv1.GetFeedResponse{header(&dncv1.FeedHeader{}), listFrame(true, nil, a), end(0, 0, 0, 1)}, ErrFeedBroken},
		"another list than it says":  {[]*dncv1.GetFeedResponse{header(&dncv1.FeedHeader{}), listFrame(false, nil, a), end(0, 0, 1, 0)}, ErrFeedBroken},
		"a list that is in doubt":    {[]*dncv1.GetFeedResponse{header(&dncv1.FeedHeader{InDoubt: []*dncv1.EventId{{Revision: 7}}}), listFrame(false, nil, a), end(0, 0, 1, 0)}, ErrFeedBroken},
		"a frame of another version": {[]*dncv1.GetFeedResponse{since, {}, end(0, 0, 0, 0)}, ErrFeedBroken},
		"a cut":                      {[]*dncv1.GetFeedResponse{since, rowFrame(gone)}, ErrUnavailable},
	} {
		var rows []FeedRow
		r := new(feedReader)
		receive := func() (*dncv1.GetFeedResponse, error) {
			if len(c.frames) == 0 {
				return nil, io.EOF
			}
			m := c.frames[0]
			c.frames = c.frames[1:]
			return m, nil
		}
		err := r.read(receive, func() error { return nil }, func(some []FeedRow) error {
			rows = append(rows, some...)
			return nil
		})
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		want := []FeedRow{
			{Row: Row{Number: a, Source: SourceOptOut}}, {Row: Row{Number: b, Source: SourceOptOut}, Removed: true},
			{Row: Row{Number: b, Scope: "acme", Source: "7.0"}},
			{Row: Row{Number: a, Scope: "acme", Source: "7.0"}, Removed: true, StillBlocked: true}, {Row: Row{Number: b, Scope: "acme", Source: "7.0"}, Removed: true},
		}
		if c.want == nil && !slices.Equal(rows, want) {
			t.Errorf("%s: got %d rows %v, want others", name, len(rows), rows)
		}
	}
}
