package client_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"

	"google.golang.org/grpc"

	"github.com/dncd/dncd/client"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// compareFixture is a server with a base that has to block some numbers of a list.
func compareFixture(t *testing.T, numbers []uint64) *client.Client {
	t.Helper()
	c := connect(t, serve(t))
	if _, err := c.CreateList(t.Context(), client.ListSpec{Name: "partner", Kind: "suppression"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Import(t.Context(), client.ImportRequest{List: "partner", Numbers: &digits{numbers: numbers}}); err != nil {
		t.Fatal(err)
	}
	lists := []string{"partner"}
	if _, err := c.PutSubscriber(t.Context(), "north", client.SubscriberChange{Kind: client.SubscriberInternal, Lists: &lists}); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCompareBase compares an export of several chunks, out of order.
func TestCompareBase(t *testing.T) {
	t.Parallel()
	numbers := someNumbers(150_000)
	c := compareFixture(t, slices.Clone(numbers))
	var found []string
	phases := map[client.Phase]bool{}
	got, err := c.CompareBase(t.Context(), client.CompareRequest{
		Subscriber: "north", Numbers: &digits{numbers: numbers[1000:]}, OnProgress: func(p client.Progress) { phases[p.Phase] = true },
		OnDifference: func(d client.Difference) error {
			if d.Kind != client.DifferenceMissing || d.List != "partner" || d.Source != "1.0" || d.Since.IsZero() || !d.InForce {
				t.Errorf("got a difference of kind %s, list %s, source %s", d.Kind, d.List, d.Source)
			}
			found = append(found, d.Number)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.Missing != 1000 || len(found) != 1000 || !slices.IsSorted(found) || got.Numbers != 149_000 || got.IsClean() || got.Revision == 0 {
		t.Errorf("got %d differences, %+v", len(found), got)
	}
	if !phases[client.PhaseSending] || !phases[client.PhaseComparing] {
		t.Errorf("got progress in %v", phases)
	}
	status, err := c.Subscriber(t.Context(), "north")
	if err != nil || status.LastComparison == nil || status.LastComparison.ID != got.ID || status.LastComparison.Missing != 1000 {
		t.Errorf("got %+v, %v, want the comparison", status.LastComparison, err)
	}
}

// TestComparisonThatFailsIsNotRecorded: its source fails, there is no such base, or its caller leaves.
func TestComparisonThatFailsIsNotRecorded(t *testing.T) {
	t.Parallel()
	c := compareFixture(t, someNumbers(10))
	broken := errors.New("the file is broken")
	reads := func(next int) error {
		if next > 100_000 {
			return broken
		}
		return nil
	}
	numbers := someNumbers(200_000)
	if _, err := c.CompareBase(t.Context(), client.CompareRequest{Subscriber: "north", Numbers: &digits{numbers: numbers, at: reads}}); !errors.Is(err, broken) {
		t.Errorf("of a broken source: got %v, want %v", err, broken)
	}
	if _, err := c.CompareBase(t.Context(), client.CompareRequest{Subscriber: "south", Numbers: &digits{numbers: numbers}}); !errors.Is(err, client.ErrSubscriberNotFound) {
		t.Errorf("of nobody: got %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	stops := func(next int) error {
		if next > 100_000 {
			cancel()
		}
		return nil
	}
	if _, err := c.CompareBase(gone, client.CompareRequest{Subscriber: "north", Numbers: &digits{numbers: numbers, at: stops}}); !errors.Is(err, context.Canceled) {
		t.Errorf("of a caller that left: got %v", err)
	}
	if status, err := c.Subscriber(t.Context(), "north"); err != nil || status.LastComparison != nil {
		t.Errorf("got %+v, %v, want no comparison", status.LastComparison, err)
	}
	_, err := c.CompareBase(t.Context(), client.CompareRequest{Subscriber: "north", Numbers: &digits{}, OnDifference: func(client.Difference) error { return broken }})
	if !errors.Is(err, broken) {
		t.Errorf("of a caller that fails: got %v, want %v", err, broken)
	}
}

// comparer is a server that answers a comparison with frames.
type comparer struct {
	dncv1.UnimplementedPropagationServiceServer
	frames []*dncv1.CompareBaseResponse
}

func (s *comparer) CompareBase(stream grpc.BidiStreamingServer[dncv1.CompareBaseRequest, dncv1.CompareBaseResponse]) error {
	for _, f := range s.frames {
		if err := stream.Send(f); err != nil {
			return err
		}
	}
	return nil
}

// TestComparisonThatIsCutIsNoComparison: without a summary, or with fewer differences than it counts, nothing was found.
func TestComparisonThatIsCutIsNoComparison(t *testing.T) {
	t.Parallel()
	open := &dncv1.CompareBaseResponse{Frame: &dncv1.CompareBaseResponse_Progress{Progress: &dncv1.CompareProgress{}}}
	summary := &dncv1.CompareBaseResponse{Frame: &dncv1.CompareBaseResponse_Summary{Summary: &dncv1.CompareSummary{
		Comparison: &dncv1.Comparison{Missing: 1},
	}}}
	for name, frames := range map[string][]*dncv1.CompareBaseResponse{"cut": {open}, "incomplete": {open, summary}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		g := grpc.NewServer()
		dncv1.RegisterPropagationServiceServer(g, &comparer{frames: frames})
		go func() { _ = g.Serve(l) }()
		t.Cleanup(g.Stop)
		_, err = connect(t, l.Addr().String()).CompareBase(t.Context(), client.CompareRequest{Subscriber: "north", Numbers: &digits{}})
		if err == nil {
			t.Errorf("%s: got a comparison, want an error", name)
		}
	}
}
