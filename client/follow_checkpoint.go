package client

import (
	"errors"
	"fmt"
	"time"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// serverKeys are the keys that may sign checkpoints.
type serverKeys struct{ keys []feed.PublicKey }

func newServerKeys(texts []string) (*serverKeys, error) {
	k := new(serverKeys)
	for _, text := range texts {
		key, err := feed.ParsePublicKey(text)
		if err != nil {
			return nil, fmt.Errorf("the server's public key: %w", err)
		}
		k.keys = append(k.keys, key)
	}
	return k, nil
}

// open reads a checkpoint and returns the key that signed it, as NAME+HASH. With keys, one of them did. Without, it must be the
// one that is pinned, if there is one: then the signature itself is not verified, for a note does not hold the key.
func (k *serverKeys) open(msg []byte, pinned string) (feed.Checkpoint, string, error) {
	if len(k.keys) == 0 {
		c, by, err := feed.ReadCheckpoint(msg)
		if err != nil {
			return c, "", fmt.Errorf("%w: %w", ErrFeedBroken, err)
		}
		if name := keyName(by); pinned == "" || pinned == name {
			return c, name, nil
		}
		return c, "", fmt.Errorf("%w: %s, where the base knows %s: ask the server's operator whether its key was changed, and then give its public key",
			ErrServerKey, keyName(by), pinned)
	}
	c, by, err := feed.OpenCheckpoint(msg, k.keys...)
	switch {
	case errors.Is(err, feed.ErrUnknown):
		return c, "", fmt.Errorf("%w: %s: ask the server's operator whether its key was changed, and then give its new public key beside the old one", ErrServerKey, keyName(by))
	case err != nil:
		return c, "", fmt.Errorf("%w: %w", ErrFeedBroken, err)
	}
	return c, keyName(by), nil
}

func keyName(s feed.Signature) string { return fmt.Sprintf("%s+%08x", s.Name, s.Hash) }

// takeCheckpoint verifies the server's note of a cursor, if there is one, and puts it into the state.
func (f *follower) takeCheckpoint(next *FollowState, at *dncv1.FeedCursor, msg []byte) error {
	if len(msg) == 0 {
		return nil
	}
	c, by, err := f.keys.open(msg, next.ServerKey)
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
	next.SubscriberID, next.Filter, next.ServerKey = subscriber, c.Filter.String(), by
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
