package server

import (
	"context"
	"slices"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type accessService struct {
	dncv1.UnimplementedAccessServiceServer
	service
	auth *authenticator
}

// CreateToken implements dncv1.AccessServiceServer.
func (s *accessService) CreateToken(ctx context.Context, req *dncv1.CreateTokenRequest) (*dncv1.CreateTokenResponse, error) {
	g, err := s.newGrant(req)
	if err != nil {
		return nil, err
	}
	if !callerOf(ctx).MayGrant(&g) {
		return nil, s.auth.deny(ctx, "AccessService/CreateToken", "an admin that is bound to scopes grants roles within them only")
	}
	r, err := s.request(ctx, req.GetContext(), store.Story{})
	if err != nil {
		return nil, err
	}
	made, receipt, err := s.store.CreateGrant(ctx, g, r)
	s.metrics.wrote(writeToken, receipt.Duplicate, err)
	if err != nil {
		return nil, err
	}
	s.logAct(ctx, "AccessService/CreateToken", req.GetName())
	return &dncv1.CreateTokenResponse{
		Token: s.token(s.store.View(), made), Position: positionAt(receipt), Duplicate: receipt.Duplicate,
	}, nil
}

// newGrant returns what a request grants.
func (s *accessService) newGrant(req *dncv1.CreateTokenRequest) (access.Grant, error) {
	g := access.Grant{Name: req.GetName(), Kind: access.Kind(req.GetKind())}
	if err := knownEnum("kind", int32(req.GetKind()), dncv1.CredentialKind_name); err != nil {
		return g, err
	}
	for _, role := range req.GetRoles() {
		if err := knownEnum("roles", int32(role), dncv1.Role_name); err != nil {
			return g, err
		}
		if role == dncv1.Role_ROLE_UNSPECIFIED {
			return g, invalidField("roles", "holds an unset role")
		}
		g.Roles |= access.RolesOf(access.Role(role))
	}
	for _, text := range req.GetScopes() {
		scope, err := scopeOf(text)
		if err != nil {
			return g, err
		}
		g.Scopes = append(g.Scopes, scope)
	}
	if n := len(req.GetSecretSha256()); n != 0 && n != len(g.Secret) {
		return g, invalidField("secret_sha256", "must be the 32 bytes of a SHA-256")
	}
	copy(g.Secret[:], req.GetSecretSha256())
	var err error
	if g.ExpiresAt, err = timeOf("expires_at", req.GetExpiresAt()); err != nil {
		return g, err
	}
	if s.auth.ended(&g) {
		return g, invalidField("expires_at", "has passed")
	}
	err = g.Check()
	return g, err
}

const tokensCall = "ListTokens"

// ListTokens implements dncv1.AccessServiceServer.
func (s *accessService) ListTokens(ctx context.Context, req *dncv1.ListTokensRequest) (*dncv1.ListTokensResponse, error) {
	v, caller := s.store.View(), callerOf(ctx)
	after := ""
	if req.GetPageToken() != "" {
		cursor, err := s.tokens.read(req.GetPageToken(), tokensCall, "")
		if err != nil {
			return nil, err
		}
		after = string(cursor)
	}
	resp := &dncv1.ListTokensResponse{Position: positionOf(v)}
	for _, g := range v.Access().All() {
		if g.Name <= after || !caller.MayGrant(g) {
			continue
		}
		if n := len(resp.Tokens); n == pageSize(req.GetPageSize()) {
			resp.NextPageToken = s.tokens.make(tokensCall, "", []byte(resp.Tokens[n-1].GetName()))
			break
		}
		resp.Tokens = append(resp.Tokens, s.token(v, g))
	}
	return resp, nil
}

// token returns a grant as a message, without its secret.
func (s *accessService) token(v *store.View, g *access.Grant) *dncv1.Token {
	return &dncv1.Token{
		Name:      g.Name,
		Kind:      dncv1.CredentialKind(g.Kind),
		Roles:     roleMessages(g.Roles),
		Scopes:    scopeTexts(g.Scopes),
		ExpiresAt: stamp(g.ExpiresAt),
		Id:        eventID(g.ID),
		CreatedAt: stamp(g.CreatedAt),
		CreatedBy: v.GrantedBy(g),
		Expired:   s.auth.ended(g),
	}
}

func roleMessages(roles access.Roles) []dncv1.Role {
	out := make([]dncv1.Role, 0, len(roles.Each()))
	for _, r := range roles.Each() {
		out = append(out, dncv1.Role(r))
	}
	return out
}

func scopeTexts(scopes []policy.Scope) []string {
	out := make([]string, 0, len(scopes))
	for _, s := range scopes {
		out = append(out, string(s))
	}
	return slices.Clip(out)
}

// RevokeToken implements dncv1.AccessServiceServer.
func (s *accessService) RevokeToken(ctx context.Context, req *dncv1.RevokeTokenRequest) (*dncv1.RevokeTokenResponse, error) {
	if g := s.store.View().Access().Named(req.GetName()); g != nil && !callerOf(ctx).MayGrant(g) {
		return nil, s.auth.deny(ctx, "AccessService/RevokeToken", "an admin that is bound to scopes revokes what is granted within them only")
	}
	r, err := s.request(ctx, req.GetContext(), store.Story{})
	if err != nil {
		return nil, err
	}
	r.Confirmed = req.GetForce()
	receipt, err := s.store.RevokeGrant(ctx, req.GetName(), r)
	s.metrics.wrote(writeToken, receipt.Duplicate, err)
	if err != nil {
		return nil, err
	}
	s.logAct(ctx, "AccessService/RevokeToken", req.GetName())
	return &dncv1.RevokeTokenResponse{Id: eventID(receipt.ID), Position: positionAt(receipt), Duplicate: receipt.Duplicate}, nil
}

// WhoAmI implements dncv1.AccessServiceServer.
func (s *accessService) WhoAmI(ctx context.Context, _ *dncv1.WhoAmIRequest) (*dncv1.WhoAmIResponse, error) {
	g := callerOf(ctx)
	return &dncv1.WhoAmIResponse{
		Name:      g.Name,
		Kind:      dncv1.CredentialKind(g.Kind),
		Roles:     roleMessages(g.Roles),
		Scopes:    scopeTexts(g.Scopes),
		ExpiresAt: stamp(g.ExpiresAt),

		AnonymousAllowed: s.auth.mode != AuthRequired,
	}, nil
}
