package client_test

import (
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/client"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// refusable is a client of a server that refuses as it is told to, on streams too.
func refusable(t *testing.T, opts ...client.Option) (*scripted, *client.Client) {
	t.Helper()
	var s *scripted
	s, addr := script(t, func(stream checkServerStream) error { return s.refusing(stream) })
	return s, connect(t, addr, opts...)
}

// TestRetriesDoNotMultiplyAnOverload counts the attempts that a server without any room sees: as many
// as calls, and half a budget more. Each call ends with that refusal.
func TestRetriesDoNotMultiplyAnOverload(t *testing.T) {
	t.Parallel()
	const calls, budget = 200, 40
	check := func(c *client.Client) (client.Result, error) { return c.Check(t.Context(), "+14155550100") }
	tests := []struct {
		name string
		opts []client.Option
		ask  func(*client.Client) (client.Result, error)
	}{
		{"on streams", nil, check},
		{"unary", []client.Option{client.WithUnaryChecks()}, check},
		{"batches", nil, func(c *client.Client) (client.Result, error) {
			r, err := c.CheckBatch(t.Context(), []uint64{14155550100})
			if r.Len() != 0 {
				t.Errorf("an error came with %d verdicts", r.Len())
			}
			return client.Result{}, err
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, c := refusable(t, append(tt.opts, client.WithRetryBudget(budget), client.WithTimeout(time.Minute))...)
			s.refuse.Store(math.MaxInt64)
			crowdOf(calls, func(int) {
				r, err := tt.ask(c)
				if !errors.Is(err, client.ErrOverloaded) {
					t.Errorf("got %v, want %v", err, client.ErrOverloaded)
				}
				isZero(t, r)
			})
			stats, attempts := c.Stats(), s.refused.Load()
			if attempts <= calls || attempts >= calls+budget/2 {
				t.Errorf("%d attempts of %d calls, want some more and less than %d more", attempts, calls, budget/2)
			}
			if stats.RetryTokens != 0 || stats.RetriesDenied == 0 {
				t.Errorf("got %d tokens and %d retries denied, want none and some", stats.RetryTokens, stats.RetriesDenied)
			}
		})
	}
}

// TestOptOutIsTriedAgainWithoutBudget: what checks have used up is not missed by a person's objection.
func TestOptOutIsTriedAgainWithoutBudget(t *testing.T) {
	t.Parallel()
	s, c := refusable(t, client.WithRetryBudget(0))
	s.refuse.Store(2)
	if _, err := c.RecordOptOut(t.Context(), client.OptOut{Number: "+14155550100"}); err != nil {
		t.Errorf("after two refusals: %v", err)
	}
	s.refuse.Store(1)
	if _, err := c.Check(t.Context(), "+14155550100"); err == nil {
		t.Error("a check was tried again without budget")
	}
}

// TestBudgetComesBack empties a budget, and asks until a refused check is tried again.
func TestBudgetComesBack(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]client.Option{"on streams": nil, "unary": {client.WithUnaryChecks()}} {
		t.Run(name, func(t *testing.T) {
			s, c := refusable(t, append(opts, client.WithRetryBudget(4))...)
			s.refuse.Store(20)
			for s.refuse.Load() > 0 {
				_, _ = c.Check(t.Context(), "+14155550100")
			}
			answered := 0
			for ; c.Stats().RetryTokens < 4; answered++ {
				if _, err := c.Check(t.Context(), "+14155550100"); err != nil || answered > 40 {
					t.Fatalf("after %d answers and %d tokens: %v", answered, c.Stats().RetryTokens, err)
				}
			}
			if answered != 40 {
				t.Errorf("the budget was back after %d answers, want 40", answered)
			}
			s.refuse.Store(1)
			if r, err := c.Check(t.Context(), "+14155550100"); err != nil || !r.Callable() {
				t.Errorf("one refusal was not tried again: %v", err)
			}
		})
	}
}

// TestStreamsThatEndOnPurposeTakeNoBudget has servers that stop, or connections that
// grow old, and a client that tries no failure again.
func TestStreamsThatEndOnPurposeTakeNoBudget(t *testing.T) {
	t.Parallel()
	shutDown := func(stream checkServerStream) error {
		req, err := stream.Recv()
		if err != nil {
			return ofEnd(err)
		}
		m := answer(req.GetChecks())
		for _, a := range m.GetAnswers() {
			refuse(a, dncv1.ErrorReason_ERROR_REASON_SHUTTING_DOWN)
		}
		return stream.Send(m)
	}
	var streams atomic.Int64
	for name, first := range map[string]func(checkServerStream) error{
		"ended":         func(checkServerStream) error { return nil },
		"shutting down": shutDown,
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := script(t, func(stream checkServerStream) error {
				if streams.Add(1)%2 == 1 {
					return first(stream)
				}
				return after(1, nil)(stream)
			})
			c := connect(t, addr, client.WithRetryBudget(0))
			for i := range 10 {
				r, err := c.Check(t.Context(), numberAt(i))
				if err != nil {
					t.Fatal(err)
				}
				tells(t, numberAt(i), r)
			}
			if denied := c.Stats().RetriesDenied; denied != 0 {
				t.Errorf("%d retries were denied", denied)
			}
		})
	}
}

// TestABrokenStreamIsOneFailure breaks a stream that many checks share: all are asked again.
func TestABrokenStreamIsOneFailure(t *testing.T) {
	t.Parallel()
	const checks = 200
	var broken atomic.Bool
	_, addr := script(t, func(stream checkServerStream) error {
		for asked := 0; !broken.Load(); {
			req, err := stream.Recv()
			if err != nil {
				return ofEnd(err)
			}
			if asked += len(req.GetChecks()); asked == checks {
				broken.Store(true)
				return status.Error(codes.Unavailable, "gone")
			}
		}
		return promptly(stream)
	})
	c := connect(t, addr, client.WithRetryBudget(4))
	crowdOf(checks, func(i int) {
		r, err := c.Check(t.Context(), numberAt(i))
		if err != nil {
			t.Errorf("%d: %v", i, err)
			return
		}
		tells(t, numberAt(i), r)
	})
}

// TestStreamsThatBreakTakeBudget has a server that breaks each stream.
func TestStreamsThatBreakTakeBudget(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code codes.Code
		more int64 // attempts than checks
	}{
		{codes.Unavailable, 1},
		{codes.Internal, 2}, // unary ones, which are answered
	} {
		t.Run(tt.code.String(), func(t *testing.T) {
			s, addr := script(t, func(stream checkServerStream) error {
				if _, err := stream.Recv(); err != nil {
					return ofEnd(err)
				}
				return status.Error(tt.code, "gone")
			})
			c := connect(t, addr, client.WithRetryBudget(4))
			for range 10 {
				_, _ = c.Check(t.Context(), "+14155550101")
			}
			if more := s.streams.Load() + s.unary.Load() - 10; more != tt.more {
				t.Errorf("the server was asked %d times more than there were checks, want %d", more, tt.more)
			}
		})
	}
}

// TestAServerThatIsNotThereTakesNoBudget has calls that no server sees.
func TestAServerThatIsNotThereTakesNoBudget(t *testing.T) {
	t.Parallel()
	c := connect(t, deadAddress, client.WithRetryBudget(4), client.WithConnections(1))
	for range 20 {
		_, err := c.Check(t.Context(), "+14155550100")
		if !errors.Is(err, client.ErrUnavailable) {
			t.Fatalf("got %v, want %v", err, client.ErrUnavailable)
		}
	}
	if tokens := c.Stats().RetryTokens; tokens != 4 {
		t.Errorf("%d tokens are left, want 4", tokens)
	}
}
