package server

import (
	"runtime"

	"golang.org/x/time/rate"

	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// propagationService implements dncv1.PropagationServiceServer.
type propagationService struct {
	dncv1.UnimplementedPropagationServiceServer
	service
	auth     *authenticator
	key      feed.SigningKey // signs checkpoints; the zero value signs none
	presence *presence
	turns    *rate.Limiter // of streams of changes
}

// turnsPerCore is how many messages of changes all streams together send a second, each with all that has come since the stream's
// last one. A hundred streams on two cores send every 10 ms, ten streams every millisecond.
const turnsPerCore = 5000

func newTurns() *rate.Limiter { return rate.NewLimiter(rate.Limit(turnsPerCore*runtime.NumCPU()), 1) }

// checkpoint is a cursor of a subscriber's feed as a signed note; nil without a key.
func (s *propagationService) checkpoint(t *feedTarget, v *store.View, c store.FeedCursor) ([]byte, error) {
	if s.key.Signer == nil {
		return nil, nil
	}
	text, err := v.Checkpoint(t.subscriber, c)
	if err != nil {
		return nil, err
	}
	return text.Sign(s.key)
}

// serverKey is the key that signs, as the contract has it.
func (s *propagationService) serverKey() *dncv1.ServerKey {
	if s.key.Signer == nil {
		return nil
	}
	m := &dncv1.ServerKey{PublicKey: s.key.Public().Text()}
	for _, note := range s.key.Rotations {
		m.Rotations = append(m.Rotations, []byte(note))
	}
	return m
}
