package client_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/client"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// TestACheckWithADeadlineIsTriedAgain: as one without is.
func TestACheckWithADeadlineIsTriedAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for name, opts := range map[string][]client.Option{"on streams": nil, "unary": {client.WithUnaryChecks()}} {
		s, c := refusable(t, opts...)
		s.refuse.Store(2)
		if r, err := c.Check(ctx, "+14155550100"); err != nil || !r.Callable() {
			t.Errorf("%s: after two refusals got %+v, %v", name, r, err)
		}
	}
}

// TestARefusedCheckIsAskedElsewhere has a server that refuses whatever comes on its first connection.
func TestARefusedCheckIsAskedElsewhere(t *testing.T) {
	t.Parallel()
	var first atomic.Value
	_, addr := script(t, func(stream checkServerStream) error {
		from, _ := peer.FromContext(stream.Context())
		first.CompareAndSwap(nil, from.Addr.String())
		for {
			req, err := stream.Recv()
			if err != nil {
				return ofEnd(err)
			}
			m := answer(req.GetChecks())
			for _, a := range m.GetAnswers() {
				if first.Load() == from.Addr.String() {
					refuse(a, dncv1.ErrorReason_ERROR_REASON_OVERLOADED)
				}
			}
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	})
	c := connect(t, addr, client.WithConnections(2))
	if _, err := c.Check(t.Context(), numberAt(0)); err != nil {
		t.Errorf("got %v, want the answer of the other connection", err)
	}
}

// TestARefusedCheckWaitsAsLongAsItIsAsked: OVERLOADED on a stream asks for 100 ms.
func TestARefusedCheckWaitsAsLongAsItIsAsked(t *testing.T) {
	t.Parallel()
	s, c := refusable(t)
	s.refuse.Store(1)
	begun := time.Now()
	if _, err := c.Check(t.Context(), "+14155550100"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 100*time.Millisecond {
		t.Errorf("tried again after %v, want 100ms at least", took)
	}
}

// TestEachCheckCarriesItsPosition: checks that share a message wait for positions of their own.
func TestEachCheckCarriesItsPosition(t *testing.T) {
	t.Parallel()
	journals := []string{"of even numbers", "of odd numbers"}
	_, addr := script(t, func(stream checkServerStream) error {
		for {
			req, err := stream.Recv()
			if err != nil {
				return ofEnd(err)
			}
			for _, check := range req.GetChecks() {
				want := &dncv1.Position{Revision: 1 + check.GetE164()%2, JournalId: journals[check.GetE164()%2]}
				if got := check.GetReadAt().GetAtLeast(); !proto.Equal(got, want) {
					t.Errorf("got a check at least as of %v, want %v", got, want)
				}
			}
			if err := stream.Send(answer(req.GetChecks())); err != nil {
				return err
			}
		}
	})
	c := connect(t, addr, client.WithConnections(1))
	crowdOf(64, func(i int) {
		for range 20 {
			if _, err := c.Check(t.Context(), numberAt(i), client.AtLeast(client.Position{Revision: uint64(1 + i%2), JournalID: journals[i%2]})); err != nil {
				t.Error(err)
			}
		}
	})
	if sum := total(c); sum.Messages == sum.Checks {
		t.Error("no checks shared a message")
	}
}

// TestStreamsThatGaveWayEnd: also where a caller sends in the moment in which the stream gives way.
func TestStreamsThatGaveWayEnd(t *testing.T) {
	t.Parallel()
	_, addr := script(t, promptly)
	c := connect(t, addr, client.WithStreamLife(time.Millisecond), client.WithConnections(1))
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for i := range 2000 {
				if _, err := c.Check(t.Context(), numberAt(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	for end := time.Now().Add(30 * time.Second); total(c).Streams > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) { // one that does not end is cut after 65 s
			t.Fatalf("%d streams have not ended", total(c).Streams)
		}
	}
}

// TestAnErrorInABatchHasNoVerdict: whatever the server says beside it.
func TestAnErrorInABatchHasNoVerdict(t *testing.T) {
	t.Parallel()
	s, addr := script(t, promptly)
	s.details = []*dncv1.CheckDetail{{Index: 1, Error: &dncv1.ItemError{Reason: dncv1.ErrorReason_ERROR_REASON_INTERNAL}}}
	r, err := connect(t, addr).CheckBatch(t.Context(), []uint64{14155550100, 14155550101})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Callable(0) || r.Callable(1) || r.Verdict(1) != "" {
		t.Errorf("got %q and %q, want ALLOW and none", r.Verdict(0), r.Verdict(1))
	}
}

// TestAnAnswerWithoutANumberIsNone: a check by text must be told what was read.
func TestAnAnswerWithoutANumberIsNone(t *testing.T) {
	t.Parallel()
	_, addr := script(t, func(stream checkServerStream) error {
		for {
			req, err := stream.Recv()
			if err != nil {
				return ofEnd(err)
			}
			m := answer(req.GetChecks())
			for _, a := range m.GetAnswers() {
				a.E164 = 0
			}
			if err := stream.Send(m); err != nil {
				return err
			}
		}
	})
	r, err := connect(t, addr).Check(t.Context(), "(415) 555-0100", client.Region("US"))
	var e *client.Error
	if !errors.As(err, &e) || r.Callable() {
		t.Errorf("got %+v, %v, want an error", r, err)
	}
	isZero(t, r)
}
