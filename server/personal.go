package server

import (
	"context"
	"encoding/binary"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// accessed is the personal data that a call reads: of one number, of a scope, or of a list.
type accessed struct {
	number phone.Number
	scope  policy.Scope
	list   string
}

// noteAccess writes to the access log who is about to read what. With an error nothing may be shown. A caller without a grant
// is named by its certificate, if it has one.
func (s *service) noteAccess(ctx context.Context, method string, what accessed) error {
	caller := callerOf(ctx)
	e := store.AccessEntry{Name: caller.Name, Kind: caller.Kind, Method: method, Scope: what.scope, List: what.list}
	if cert := verifiedCertificate(ctx); e.Name == "" && cert != nil {
		e.Name, e.Kind = certificateName(cert), access.Certificate
	}
	return s.store.LogAccess(ctx, e, what.number)
}

const accessCall = "ListAccess"

// ListAccess implements dncv1.AccessServiceServer.
func (s *accessService) ListAccess(ctx context.Context, req *dncv1.ListAccessRequest) (*dncv1.ListAccessResponse, error) {
	q, subject, err := s.accessQuery(req)
	if err != nil {
		return nil, err
	}
	page, err := s.store.ReadAccess(q)
	if err != nil {
		return nil, err
	}
	since, err := s.store.AccessKeptSince()
	if err != nil {
		return nil, err
	}
	resp := &dncv1.ListAccessResponse{KeptSince: stamp(since), UnreadableBytes: uint64(page.Unreadable)}
	for i := range page.Entries {
		resp.Accesses = append(resp.Accesses, accessMessage(&page.Entries[i]))
	}
	if page.Next != (store.AccessCursor{}) {
		cursor := binary.BigEndian.AppendUint64(nil, uint64(page.Next.Day))
		resp.NextPageToken = s.tokens.make(accessCall, subject, binary.BigEndian.AppendUint64(cursor, uint64(page.Next.Offset)))
	}
	return resp, nil
}

// accessQuery returns what a request asks for, and what its page tokens are bound to.
func (s *accessService) accessQuery(req *dncv1.ListAccessRequest) (q store.AccessQuery, subject string, err error) {
	q.Limit = pageSize(req.GetPageSize())
	if q.From, q.To, err = period(req.GetFrom(), req.GetTo()); err != nil {
		return q, "", err
	}
	subject = periodText(q.From, q.To)
	if req.GetNumber() != "" {
		n, err := numberOf(req.GetNumber(), req.GetRegion())
		if err != nil {
			return q, "", err
		}
		q.Number = uint64(n)
		subject += " " + n.E164()
	}
	if req.GetPageToken() == "" {
		return q, subject, nil
	}
	cursor, err := s.tokens.read(req.GetPageToken(), accessCall, subject)
	if err != nil {
		return q, "", err
	}
	q.At = store.AccessCursor{
		Day: policy.Date(binary.BigEndian.Uint64(cursor)), Offset: int64(binary.BigEndian.Uint64(cursor[8:])),
	}
	return q, subject, nil
}

func accessMessage(e *store.AccessEntry) *dncv1.Access {
	m := &dncv1.Access{
		Time: stamp(e.Time), Name: e.Name, Kind: dncv1.CredentialKind(e.Kind), Method: e.Method,
		Scope: string(e.Scope), List: e.List,
	}
	if e.Hash != (store.AccessHash{}) {
		m.NumberHash = e.Hash[:]
	}
	return m
}
