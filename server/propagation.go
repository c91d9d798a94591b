package server

import (
	"fmt"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// propagationService implements dncv1.PropagationServiceServer.
type propagationService struct {
	dncv1.UnimplementedPropagationServiceServer
	service
	auth *authenticator
	key  feed.PrivateKey // signs checkpoints; the zero value signs none
}

// checkpoint is a cursor of a subscriber's feed as a signed note; nil without a key.
func (s *propagationService) checkpoint(t *feedTarget, v *store.View, c store.FeedCursor) ([]byte, error) {
	if s.key.Signer == nil {
		return nil, nil
	}
	text, err := checkpointOf(t.subscriber, v, c)
	if err != nil {
		return nil, err
	}
	return text.Sign(s.key)
}

// checkpointOf says how far the log of a subscriber is at a cursor. Errors: store.ErrDamaged.
func checkpointOf(sub *store.Subscriber, v *store.View, c store.FeedCursor) (feed.Checkpoint, error) {
	tag := v.TagAt(c.Revision)
	if tag == nil {
		return feed.Checkpoint{}, fmt.Errorf("%w: what the journal holds at a checkpoint is not known", store.ErrDamaged)
	}
	at, err := v.TimeAt(c.Revision)
	return feed.Checkpoint{
		Journal: v.JournalID(), Subscriber: sub.ID, Epoch: sub.Epoch, Revision: c.Revision, Tag: feed.Tag(tag),
		Changes: c.Changes, Hash: c.Hash, Filter: sub.FilterHash, Time: at,
	}, err
}
