package client

import (
	"context"
	"encoding/hex"
	"iter"
	"time"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// Token is the grant of a token or a client certificate. It holds no secret.
type Token struct {
	// Name of the token, or of the certificate: what its writes are recorded by.
	Name string         `json:"name"`
	Kind CredentialKind `json:"kind"`
	// Roles that it has.
	Roles []Role `json:"roles"`
	// Scopes at which it has them, and below; empty: everywhere.
	Scopes []string `json:"scopes"`
	// ExpiresAt is when it ends; zero: never.
	ExpiresAt time.Time `json:"expires_at"`
	// ID is the event that granted it.
	ID        EventID   `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	// CreatedBy is who granted it; empty: not known.
	CreatedBy string `json:"created_by"`
	// Expired says that ExpiresAt has passed.
	Expired bool `json:"expired"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (t Token) MarshalJSON() ([]byte, error) { return encode(t) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (t *Token) UnmarshalJSON(text []byte) error { return decode(text, t) }

// TokenSpec is a token to be created, or a certificate to be granted roles. Name and Roles
// are required.
type TokenSpec struct {
	// Name: 1 to 128 bytes of [A-Za-z0-9._@-] for a token. For a certificate, its common
	// name, else its first DNS name.
	Name string
	// Kind; empty: CredentialToken.
	Kind CredentialKind
	// SecretSHA256 is the second result of NewToken; zero for a certificate.
	SecretSHA256 [32]byte
	Roles        []Role
	// Scopes at which it has the roles, and below; empty: everywhere. At most 32.
	Scopes []string
	// ExpiresAt is when it ends; zero: never. A time that has passed is refused.
	ExpiresAt time.Time
	// RequestID as in OptOut.
	RequestID string
}

// TokenReceipt is a new grant, and the position from which it counts.
type TokenReceipt struct {
	Token
	Position
	// Duplicate and RequestID as in Receipt.
	Duplicate bool   `json:"duplicate"`
	RequestID string `json:"request_id"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (r TokenReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *TokenReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// RevokeReceipt says from which position on a token is refused.
type RevokeReceipt struct {
	Position
	// Index is the event's place within the revision.
	Index uint32 `json:"index"`
	// Duplicate and RequestID as in Receipt.
	Duplicate bool   `json:"duplicate"`
	RequestID string `json:"request_id"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (r RevokeReceipt) MarshalJSON() ([]byte, error) { return encode(r) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (r *RevokeReceipt) UnmarshalJSON(text []byte) error { return decode(text, r) }

// Identity is who a caller is to the server.
type Identity struct {
	// Name is empty for a caller that showed nothing.
	Name  string         `json:"name"`
	Kind  CredentialKind `json:"kind"`
	Roles []Role         `json:"roles"`
	// Scopes; empty: everywhere.
	Scopes []string `json:"scopes"`
	// ExpiresAt is when that ends; zero: never.
	ExpiresAt time.Time `json:"expires_at"`
	// AnonymousAllowed says that the server lets callers in that show nothing.
	AnonymousAllowed bool `json:"anonymous_allowed"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (i Identity) MarshalJSON() ([]byte, error) { return encode(i) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (i *Identity) UnmarshalJSON(text []byte) error { return decode(text, i) }

// Act is one administrative act that changed the store.
type Act struct {
	ID   EventID   `json:"id"`
	Time time.Time `json:"time"`
	Kind ActKind   `json:"kind"`
	// RecordedBy is empty for the server itself, a command on the stopped store, or when it is not known.
	RecordedBy       string `json:"recorded_by"`
	RecordedByProven bool   `json:"recorded_by_proven"`
	// Subject is the name of the list or token that it is about; of an import, its id.
	Subject string `json:"subject"`
	// Detail is the rest in words. It holds no number of a person.
	Detail string `json:"detail"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (a Act) MarshalJSON() ([]byte, error) { return encode(a) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (a *Act) UnmarshalJSON(text []byte) error { return decode(text, a) }

// Access is one read of personal data.
type Access struct {
	Time time.Time `json:"time"`
	// Name of the token or certificate; empty for a caller that showed nothing.
	Name string         `json:"name"`
	Kind CredentialKind `json:"kind"`
	// Method is the RPC, such as "RecordService/GetNumber".
	Method string `json:"method"`
	// NumberHash is a keyed hash of the one number that was read, in hexadecimal: the same
	// number has the same hash at one server. Empty for exports.
	NumberHash string `json:"number_hash"`
	// Scope and List are what an export was of.
	Scope string `json:"scope"`
	List  string `json:"list"`
}

// MarshalJSON implements json.Marshaler: see the package comment.
func (a Access) MarshalJSON() ([]byte, error) { return encode(a) }

// UnmarshalJSON implements json.Unmarshaler: see the package comment.
func (a *Access) UnmarshalJSON(text []byte) error { return decode(text, a) }

// AccessQuery says which accesses to list. The zero query is all of them.
type AccessQuery struct {
	// From this time on, before To; zero: from the oldest that is kept, until now.
	From, To time.Time
	// Number: only reads of it, and exports, which may have held it. Empty: all.
	Number string
	// Region says how a national form of Number is read.
	Region string
}

// CreateToken grants roles to a new token, whose secret NewToken makes, or to a client
// certificate. While the name or the secret is in use: ErrTokenExists. Like every write it is
// tried again under one request id.
func (c *Client) CreateToken(ctx context.Context, spec TokenSpec) (TokenReceipt, error) {
	request, err := c.createTokenRequest(spec)
	if err != nil {
		return TokenReceipt{}, err
	}
	id := request.GetContext().GetRequestId()
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.CreateTokenResponse, error) {
		return on.access.CreateToken(ctx, request)
	})
	if err != nil {
		return TokenReceipt{}, withRequestID(err, id)
	}
	return TokenReceipt{fromToken(answer.GetToken()), fromPosition(answer.GetPosition()), answer.GetDuplicate(), id}, nil
}

func (c *Client) createTokenRequest(spec TokenSpec) (*dncv1.CreateTokenRequest, error) {
	kind, err := value[dncv1.CredentialKind](spec.Kind, "CREDENTIAL_KIND_", dncv1.CredentialKind_value)
	if err != nil {
		return nil, err
	}
	if spec.Kind == "" {
		kind = dncv1.CredentialKind_CREDENTIAL_KIND_TOKEN
	}
	request := &dncv1.CreateTokenRequest{
		Name: spec.Name, Kind: kind, Scopes: spec.Scopes, ExpiresAt: toTime(spec.ExpiresAt), Context: c.writeContext(spec.RequestID),
	}
	for _, r := range spec.Roles {
		role, err := value[dncv1.Role](r, "ROLE_", dncv1.Role_value)
		if err != nil {
			return nil, err
		}
		request.Roles = append(request.Roles, role)
	}
	if spec.SecretSHA256 != [32]byte{} {
		request.SecretSha256 = spec.SecretSHA256[:]
	}
	return request, nil
}

// Tokens yields the grants, by name: those of tokens and certificates that were not revoked,
// expired ones included. An error is the last thing yielded.
func (c *Client) Tokens(ctx context.Context) iter.Seq2[Token, error] {
	return pages(func(token string) ([]Token, string, error) {
		request := &dncv1.ListTokensRequest{PageSize: pageSize, PageToken: token}
		page, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListTokensResponse, error) {
			return on.access.ListTokens(ctx, request)
		})
		return each(page.GetTokens(), fromToken), page.GetNextPageToken(), err
	})
}

// RevokeToken ends the grant of a token or a certificate: calls that begin afterwards are
// refused, and open streams end within 5 seconds. Without that name: ErrTokenNotFound.
// When no admin without scopes would be left: ErrConfirmationRequired, unless forced.
func (c *Client) RevokeToken(ctx context.Context, name string, force bool) (RevokeReceipt, error) {
	request := &dncv1.RevokeTokenRequest{Name: name, Force: force, Context: c.writeContext("")}
	id := request.GetContext().GetRequestId()
	answer, err := callWrite(ctx, c, func(ctx context.Context, on *connection) (*dncv1.RevokeTokenResponse, error) {
		return on.access.RevokeToken(ctx, request)
	})
	if err != nil {
		return RevokeReceipt{}, withRequestID(err, id)
	}
	return RevokeReceipt{fromPosition(answer.GetPosition()), answer.GetId().GetIndex(), answer.GetDuplicate(), id}, nil
}

// WhoAmI returns who the caller is to the server, and what it may do.
func (c *Client) WhoAmI(ctx context.Context) (Identity, error) {
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.WhoAmIResponse, error) {
		return on.access.WhoAmI(ctx, &dncv1.WhoAmIRequest{})
	})
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		Name:             answer.GetName(),
		Kind:             fromCredentialKind(answer.GetKind()),
		Roles:            each(answer.GetRoles(), fromRole),
		Scopes:           answer.GetScopes(),
		ExpiresAt:        fromTime(answer.GetExpiresAt()),
		AnonymousAllowed: answer.GetAnonymousAllowed(),
	}, nil
}

// Acts yields the administrative acts from one time on and before another, oldest first.
// A zero time means no limit. An error is the last thing yielded.
func (c *Client) Acts(ctx context.Context, from, to time.Time) iter.Seq2[Act, error] {
	return pages(func(token string) ([]Act, string, error) {
		request := &dncv1.ListActsRequest{From: toTime(from), To: toTime(to), PageSize: pageSize, PageToken: token}
		page, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListActsResponse, error) {
			return on.access.ListActs(ctx, request)
		})
		return each(page.GetActs(), fromAct), page.GetNextPageToken(), err
	})
}

// Accesses yields who read personal data, oldest first. An error is the last thing yielded.
// Errors of a number as for Check.
func (c *Client) Accesses(ctx context.Context, q AccessQuery) iter.Seq2[Access, error] {
	return pages(func(token string) ([]Access, string, error) {
		page, err := c.accessPage(ctx, q, pageSize, token)
		return each(page.GetAccesses(), fromAccess), page.GetNextPageToken(), err
	})
}

// AccessesKeptSince returns the time of the oldest access that the server keeps; zero: it keeps none.
func (c *Client) AccessesKeptSince(ctx context.Context) (time.Time, error) {
	page, err := c.accessPage(ctx, AccessQuery{}, 1, "")
	return fromTime(page.GetKeptSince()), err
}

func (c *Client) accessPage(ctx context.Context, q AccessQuery, size uint32, token string) (*dncv1.ListAccessResponse, error) {
	if q.Number != "" {
		if err := sendable(q.Number); err != nil {
			return nil, err
		}
	}
	request := &dncv1.ListAccessRequest{
		From: toTime(q.From), To: toTime(q.To), Number: q.Number, Region: q.Region, PageSize: size, PageToken: token,
	}
	return callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.ListAccessResponse, error) {
		return on.access.ListAccess(ctx, request)
	})
}

func fromToken(t *dncv1.Token) Token {
	return Token{
		Name:      t.GetName(),
		Kind:      fromCredentialKind(t.GetKind()),
		Roles:     each(t.GetRoles(), fromRole),
		Scopes:    t.GetScopes(),
		ExpiresAt: fromTime(t.GetExpiresAt()),
		ID:        fromEventID(t.GetId()),
		CreatedAt: fromTime(t.GetCreatedAt()),
		CreatedBy: t.GetCreatedBy(),
		Expired:   t.GetExpired(),
	}
}

func fromRole(r dncv1.Role) Role { return name[Role](r, "ROLE_") }

func fromCredentialKind(k dncv1.CredentialKind) CredentialKind {
	return name[CredentialKind](k, "CREDENTIAL_KIND_")
}

func fromAct(a *dncv1.Act) Act {
	return Act{
		ID:               fromEventID(a.GetId()),
		Time:             fromTime(a.GetTime()),
		Kind:             name[ActKind](a.GetKind(), "ACT_KIND_"),
		RecordedBy:       a.GetRecordedBy(),
		RecordedByProven: a.GetRecordedByProven(),
		Subject:          a.GetSubject(),
		Detail:           a.GetDetail(),
	}
}

func fromAccess(a *dncv1.Access) Access {
	return Access{
		Time:       fromTime(a.GetTime()),
		Name:       a.GetName(),
		Kind:       fromCredentialKind(a.GetKind()),
		Method:     a.GetMethod(),
		NumberHash: hex.EncodeToString(a.GetNumberHash()),
		Scope:      a.GetScope(),
		List:       a.GetList(),
	}
}
