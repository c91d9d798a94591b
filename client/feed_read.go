package client

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc/codes"

	"github.com/dncd/dncd/internal/ascending"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// feedReader reads a feed of GetFeed, and verifies that it is what its header and its summary say.
type feedReader struct {
	header  *dncv1.FeedHeader
	lists   []*listContent // of the header
	optOuts uint64         // rows that are there
	removed uint64         // rows that are gone
	last    Row            // of the opt-outs
	summary *dncv1.FeedSummary
}

// listContent is a list of a feed and what came of it.
type listContent struct {
	*dncv1.FeedList
	id      string
	inDoubt bool
	hash    *ascending.Hash[uint64] // of what came
	went    uint64                  // how many went
	last    uint64
}

// read calls begin after the header, and then take with rows, until the summary.
func (r *feedReader) read(receive func() (*dncv1.GetFeedResponse, error), begin func() error, take func([]FeedRow) error) error {
	m, err := receive()
	if err != nil {
		return feedCut(err)
	}
	if err := r.begin(m.GetHeader()); err != nil {
		return err
	}
	if err := begin(); err != nil {
		return err
	}
	for r.summary == nil {
		m, err := receive()
		if err != nil {
			return feedCut(err)
		}
		switch frame := m.GetFrame().(type) {
		case *dncv1.GetFeedResponse_Chunk:
			var rows []FeedRow
			if rows, err = r.takeChunk(frame.Chunk); err == nil {
				err = take(rows)
			}
		case *dncv1.GetFeedResponse_Summary:
			err = r.end(frame.Summary)
		default:
			err = feedBroken("a frame of a feed that this version does not know: install a newer one")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// feedCut is the error for a feed that ended before its summary.
func feedCut(err error) error {
	if errors.Is(err, io.EOF) {
		return &Error{Reason: reasonUnavailable, Message: "the feed was cut before its end", code: codes.Unavailable}
	}
	return fromStatus(err)
}

func (r *feedReader) begin(h *dncv1.FeedHeader) error {
	if h.GetCursor().GetPosition().GetRevision() == 0 {
		return feedBroken("a feed without a cursor")
	}
	r.header = h
	for _, l := range h.GetLists() {
		r.lists = append(r.lists, &listContent{FeedList: l, id: listID(l.GetId()), hash: ascending.NewHash[uint64]()})
	}
	for _, id := range h.GetInDoubt() {
		l := r.list(listID(id))
		if l == nil {
			l = &listContent{id: listID(id)}
			r.lists = append(r.lists, l)
		}
		l.inDoubt = true
	}
	return nil
}

func (r *feedReader) isSnapshot() bool { return r.header.GetAfter() == nil }

func (r *feedReader) list(id string) *listContent {
	i := slices.IndexFunc(r.lists, func(l *listContent) bool { return l.id == id })
	if i < 0 {
		return nil
	}
	return r.lists[i]
}

func (r *feedReader) takeChunk(c *dncv1.FeedChunk) ([]FeedRow, error) {
	rows := make([]FeedRow, 0, len(c.GetRows()))
	for _, m := range c.GetRows() {
		row := FeedRow{
			Row:     Row{Number: m.GetNumber(), Scope: m.GetScope(), Source: SourceOptOut, Until: fromTime(m.GetUntil())},
			Removed: m.GetRemoved(), StillBlocked: m.GetStillBlocked(),
		}
		isFirst := r.optOuts+r.removed == 0
		if row.Removed && r.isSnapshot() || row.Number == 0 || row.Number > maxNumber || !isFirst && row.Compare(r.last) <= 0 {
			return nil, feedBroken("rows that are out of order, or gone from a snapshot")
		}
		r.last = row.Row
		if row.Removed {
			r.removed++
		} else {
			r.optOuts++
		}
		rows = append(rows, row)
	}
	if m := c.GetListRows(); m != nil {
		content, err := r.takeListRows(m, c.GetStillBlocked())
		if err != nil {
			return nil, err
		}
		rows = append(rows, content...)
	}
	return rows, nil
}

func (r *feedReader) takeListRows(m *dncv1.FeedListRows, stillBlocked []uint32) ([]FeedRow, error) {
	numbers, err := rowDigits(m)
	if err != nil {
		return nil, err
	}
	l := r.list(listID(m.GetList()))
	if l == nil || l.inDoubt || m.GetRemoved() && r.isSnapshot() || !m.GetRemoved() && l.went > 0 {
		return nil, feedBroken("rows of a list that the feed does not have, or has in another order")
	}
	if m.GetRemoved() && l.went == 0 {
		l.last = 0
	}
	rows := make([]FeedRow, len(numbers))
	for i, n := range numbers {
		if n <= l.last {
			return nil, feedBroken("numbers of a list that are out of order")
		}
		l.last = n
		rows[i] = FeedRow{Row: Row{Number: n, Scope: l.GetScope(), Source: l.id}, Removed: m.GetRemoved()}
	}
	for _, place := range stillBlocked {
		if int(place) >= len(rows) || !m.GetRemoved() {
			return nil, feedBroken("places of numbers that are not there")
		}
		rows[place].StillBlocked = true
	}
	if m.GetRemoved() {
		l.went += uint64(len(numbers))
	} else {
		l.hash.Add(numbers)
	}
	return rows, nil
}

// end verifies that the feed is what its header and its summary say.
func (r *feedReader) end(sum *dncv1.FeedSummary) error {
	came, went := uint64(0), uint64(0)
	for _, l := range r.lists {
		if l.inDoubt {
			continue
		}
		came, went = came+l.hash.Count(), went+l.went
		if r.isSnapshot() && !l.isWhole() {
			return feedBroken("a list with other numbers than its count or SHA-256 says")
		}
	}
	if sum.GetSet() != r.optOuts || sum.GetRemoved() != r.removed || sum.GetListAdded() != came || sum.GetListRemoved() != went {
		return feedBroken("a feed with other rows than its summary counts")
	}
	r.summary = sum
	return nil
}

// isWhole reports whether all numbers of a list came.
func (l *listContent) isWhole() bool {
	want := l.GetContentSha256()
	return l.hash.Count() == l.GetNumbers() && (len(want) == 0 || l.GetNumbers() == 0 || bytes.Equal(want, l.hash.Sum()))
}
