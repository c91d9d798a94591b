package server

import (
	"context"
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/proto"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// repeatableWrite is a request whose outcome depends on the present state of what it changes.
type repeatableWrite interface {
	proto.Message
	GetContext() *dncv1.WriteContext
}

// repeatable returns the id and story of a write. A retry is compared by what it asks for.
func (s *service) repeatable(ctx context.Context, req repeatableWrite) (store.Request, error) {
	r, err := s.request(ctx, req.GetContext(), store.Story{})
	if err != nil || r.ID == "" {
		return r, err
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(req)
	if err != nil {
		return r, fmt.Errorf("encode request: %w", err)
	}
	asked := sha256.Sum256(append([]byte(req.ProtoReflect().Descriptor().FullName()), body...))
	r.Asked = asked[:]
	return r, nil
}

// once makes a write once for each request id. A retry finds the outcome of the first attempt, even if that was written while
// the retry was being refused because of it.
func once[W any](by store.Request, repeated func(store.Request) (W, bool, error), write func() (W, error)) (W, error) {
	w, found, err := repeated(by)
	if !found && err == nil {
		w, err = write()
	}
	if err != nil && !found {
		if first, found, failed := repeated(by); found {
			w, err = first, failed
		}
	}
	return w, err
}
