package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dncd/dncd/internal/access"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/state"
)

// CreateGrant grants roles to a token or a certificate, and returns the grant. It counts in the views of the receipt's revision
// and later ones. Errors: access.ErrGrant; one for an expiry outside the years 1970 to 2261; ErrTokenExists while the name
// or the secret is in use; ErrTokenNotFound when the request is a repeat and the grant was revoked since; and those of every write.
func (s *Store) CreateGrant(ctx context.Context, g access.Grant, r Request) (*access.Grant, Receipt, error) {
	if err := errors.Join(g.Check(), checkEnd(g.ExpiresAt)); err != nil {
		return nil, Receipt{}, err
	}
	receipt, err := s.record(ctx, &storev1.Event{Change: &storev1.Event_TokenCreated{TokenCreated: grantMessage(&g)}}, r)
	if err != nil {
		return nil, receipt, err
	}
	made := s.View().Access().Named(g.Name)
	if made == nil || made.ID != receipt.ID {
		return nil, receipt, fmt.Errorf("%w: it was revoked since this request was written", ErrTokenNotFound)
	}
	return made, receipt, nil
}

// checkEnd refuses an expiry that cannot be stored, or that would be stored as none.
func checkEnd(t time.Time) error {
	if !t.IsZero() && state.Nano(t) <= 0 {
		return state.ErrTime
	}
	return state.CheckTime(t)
}

func grantMessage(g *access.Grant) *storev1.TokenCreated {
	m := &storev1.TokenCreated{
		Name: g.Name, Kind: uint32(g.Kind), Roles: uint32(g.Roles), ExpiresAt: state.Nano(g.ExpiresAt),
	}
	if g.Kind == access.Token {
		m.SecretSha256 = g.Secret[:]
	}
	for _, s := range g.Scopes {
		m.Scopes = append(m.Scopes, string(s))
	}
	return m
}

// RevokeGrant ends the grant of that name. Errors: ErrTokenNotFound; ErrUnconfirmed when no admin without scopes would be left
// and the request is not Confirmed; and those of every write.
func (s *Store) RevokeGrant(ctx context.Context, name string, r Request) (Receipt, error) {
	return s.record(ctx, &storev1.Event{Change: &storev1.Event_TokenRevoked{
		TokenRevoked: &storev1.TokenRevoked{Name: name, Force: r.Confirmed},
	}}, r)
}
