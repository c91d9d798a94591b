package client

import (
	"context"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// DossierOption adjusts GetDossier: Region, and Scope for each scope at which the number is to be checked.
type DossierOption interface {
	applyDossier(*dncv1.GetDossierRequest)
}

func (r RegionOption) applyDossier(m *dncv1.GetDossierRequest) { m.Region = r.code }
func (s ScopeOption) applyDossier(m *dncv1.GetDossierRequest)  { m.Scopes = append(m.Scopes, s.scope) }

// GetDossier returns what is known of a number, and which subscriber knew it when: a note that the server signed. Its first
// line is JSON, and it holds no other number; `dnc verify` verifies it. The caller must be an officer. Errors as for Check.
func (c *Client) GetDossier(ctx context.Context, number string, opts ...DossierOption) (note []byte, err error) {
	if err := sendable(number); err != nil {
		return nil, err
	}
	request := &dncv1.GetDossierRequest{Number: number}
	for _, o := range opts {
		o.applyDossier(request)
	}
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.GetDossierResponse, error) {
		return on.propagation.GetDossier(ctx, request)
	})
	return answer.GetNote(), err
}
