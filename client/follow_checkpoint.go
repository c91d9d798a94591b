package client

import (
	"fmt"
	"time"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// takeCheckpoint verifies the server's note of a cursor, if there is one, and puts it into the state.
func (f *follower) takeCheckpoint(next *FollowState, at *dncv1.FeedCursor, msg []byte, sent *dncv1.ServerKey) error {
	if len(msg) == 0 {
		return nil
	}
	c, err := f.keys.open(msg, sent, next, f.state.Cursor.Position().JournalID)
	if err != nil {
		return err
	}
	subscriber := feed.FormatEventID(c.Subscriber)
	if err := isOfCursor(c, at); err != nil {
		return err
	}
	if next.SubscriberID != "" && next.SubscriberID != subscriber || next.Filter != "" && next.Filter != c.Filter.String() {
		return fmt.Errorf("%w: the checkpoint of position %d is of another subscriber or filter", ErrFeedBroken, c.Revision)
	}
	next.SubscriberID, next.Filter = subscriber, c.Filter.String()
	next.Time, next.Checkpoint = c.Time, string(msg)
	return nil
}

// isOfCursor returns ErrFeedBroken unless a checkpoint says what its cursor says.
func isOfCursor(c feed.Checkpoint, at *dncv1.FeedCursor) error {
	want := checkpointOf(at)
	want.Time, want.Subscriber, want.Filter = c.Time, c.Subscriber, c.Filter
	if err := c.Same(want); err != nil {
		return fmt.Errorf("%w: the checkpoint of position %d is not that of its cursor: %w", ErrFeedBroken, at.GetPosition().GetRevision(), err)
	}
	if at.GetPart() > 0 {
		return feedBroken("a checkpoint within a revision")
	}
	return nil
}

// checkpointOf is what a cursor says of a checkpoint.
func checkpointOf(at *dncv1.FeedCursor) feed.Checkpoint {
	p := at.GetPosition()
	c := feed.Checkpoint{Journal: p.GetJournalId(), Epoch: at.GetEpoch(), Revision: p.GetRevision(), Changes: at.GetChanges()}
	copy(c.Tag[:], p.GetTag())
	copy(c.Hash[:], at.GetHash())
	return c
}

// held is the checkpoint of the state. It was verified when it came.
func (f *follower) held() feed.Checkpoint {
	c, _, _ := feed.ReadCheckpoint([]byte(f.state.Checkpoint))
	return c
}

// isCovered reports whether the state's checkpoint covers all of its changes.
func (f *follower) isCovered() bool { return f.held().Changes == f.log.changes }

// owesDigest reports whether the day's digest is due, and can be computed: the rows are those of the checkpoint.
func (f *follower) owesDigest(now time.Time) bool {
	if _, ok := f.o.Base.(RowReader); !ok || f.o.Key == "" || f.state.DigestDay == day(now) || f.log.at.GetPart() > 0 {
		return false
	}
	for _, l := range f.state.Lists {
		if l.InDoubt { // the base has rows that the server cannot count
			return false
		}
	}
	return f.state.Checkpoint != "" && f.isCovered()
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// claimed is what a claim says of a checkpoint.
func claimed(c feed.Checkpoint) *dncv1.FeedCursor {
	return &dncv1.FeedCursor{
		Position: &dncv1.Position{Revision: c.Revision, JournalId: c.Journal, Tag: c.Tag[:]},
		Epoch:    c.Epoch, Changes: c.Changes, Hash: c.Hash[:],
	}
}
