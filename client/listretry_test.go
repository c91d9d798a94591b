package client_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/client"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// forgetfulLists writes lists, and loses the answer to each first attempt.
type forgetfulLists struct {
	dncv1.UnimplementedListServiceServer
	mu  sync.Mutex
	ids []string // of the requests, in order
}

func (l *forgetfulLists) lose(c *dncv1.WriteContext) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := !slices.Contains(l.ids, c.GetRequestId())
	l.ids = append(l.ids, c.GetRequestId())
	if first {
		return status.Error(codes.Unavailable, "the connection broke")
	}
	return nil
}

func (l *forgetfulLists) CreateList(_ context.Context, r *dncv1.CreateListRequest) (*dncv1.CreateListResponse, error) {
	return &dncv1.CreateListResponse{}, l.lose(r.GetContext())
}

func (l *forgetfulLists) UpdateList(_ context.Context, r *dncv1.UpdateListRequest) (*dncv1.UpdateListResponse, error) {
	return &dncv1.UpdateListResponse{}, l.lose(r.GetContext())
}

func (l *forgetfulLists) DeleteList(_ context.Context, r *dncv1.DeleteListRequest) (*dncv1.DeleteListResponse, error) {
	return &dncv1.DeleteListResponse{}, l.lose(r.GetContext())
}

func (l *forgetfulLists) RevertImport(_ context.Context, r *dncv1.RevertImportRequest) (*dncv1.RevertImportResponse, error) {
	return &dncv1.RevertImportResponse{}, l.lose(r.GetContext())
}

// TestListWritesAreTriedAgainUnderOneRequestID: so that a write whose answer was lost is made once.
func TestListWritesAreTriedAgainUnderOneRequestID(t *testing.T) {
	t.Parallel()
	lists := new(forgetfulLists)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	dncv1.RegisterListServiceServer(g, lists)
	var served sync.WaitGroup
	served.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() { g.Stop(); served.Wait() })
	c := connect(t, l.Addr().String())
	coverage := []string{"1415"}
	for _, w := range []struct {
		name  string
		write func() error
	}{
		{"create", func() error {
			_, err := c.CreateList(t.Context(), client.ListSpec{Name: "mine", Kind: client.KindSuppression})
			return err
		}},
		{"update", func() error {
			_, err := c.UpdateList(t.Context(), "mine", client.ListChange{Coverage: &coverage})
			return err
		}},
		{"delete", func() error { _, err := c.DeleteList(t.Context(), "mine", true); return err }},
		{"revert", func() error { _, err := c.Revert(t.Context(), client.RevertRequest{List: "mine"}); return err }},
	} {
		before := len(lists.ids)
		if err := w.write(); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
		if got := lists.ids[before:]; len(got) != 2 || got[0] == "" || got[0] != got[1] || slices.Contains(lists.ids[:before], got[0]) {
			t.Errorf("%s: got request ids %q, want a new one twice", w.name, got)
		}
	}
}
