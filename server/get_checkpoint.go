package server

import (
	"context"
	"errors"

	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// GetCheckpoint implements dncv1.PropagationServiceServer.
func (s *propagationService) GetCheckpoint(ctx context.Context, req *dncv1.GetCheckpointRequest) (*dncv1.GetCheckpointResponse, error) {
	if s.key.Signer == nil {
		return nil, unsupported("a checkpoint without a signing key")
	}
	id := policy.EventID{Revision: req.GetSubscriber().GetRevision(), Index: req.GetSubscriber().GetIndex()}
	v := s.store.View()
	sub, err := s.store.SubscriberAt(v, id, req.GetRevision())
	if errors.Is(err, store.ErrFutureRevision) {
		return nil, journalForked(v)
	}
	if err == nil && !seesFilter(callerOf(ctx), sub.Filter) { // before the log is computed, which may take long
		err = store.ErrSubscriberNotFound
	}
	if err != nil {
		return nil, err
	}
	c, err := s.store.LogAt(ctx, v, sub, req.GetEpoch(), req.GetRevision())
	if err != nil {
		return nil, err
	}
	note, err := c.Sign(s.key)
	return &dncv1.GetCheckpointResponse{Checkpoint: note, ServerKey: s.serverKey()}, err
}
