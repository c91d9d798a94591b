package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/client"
)

// TestSharedChecksAnswerAsUnaryOnes compares results and errors, field by field.
func TestSharedChecksAnswerAsUnaryOnes(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	shared, alone := connect(t, addr), connect(t, addr, client.WithUnaryChecks())
	createRegistry(t, shared, "us-ftc", "1415")
	receipt := optOut(t, shared, "+14155550101", "acme")
	optOut(t, shared, "+14155550101", "")
	for _, number := range []string{
		"+14155550100", "+14155550101", "+1 (415) 555-0101", "tel:+1-415-555-0101", "(415) 555-0101", "+14165550100",
		"+33199001234", "0199001234", "hello", "+1415555010", "+999123456", "14155550101", "+0123",
	} {
		for _, opts := range [][]client.CheckOption{
			nil, {client.Region("US")}, {client.Region("fr")}, {client.Region("XX")}, {client.Scope("acme/x")},
			{client.Scope("other")}, {client.Scope("a//b")}, {client.Scope(fmt.Sprintf("%0300d", 0))}, {client.Scope("\xff")},
			{client.AtLeast(receipt.Position)}, {client.AtLeast(client.Position{Revision: 1, JournalID: "other"})}, {client.AtLeast(client.Position{JournalID: "other"})},
		} {
			want, wantErr := alone.Check(t.Context(), number, opts...)
			got, err := shared.Check(t.Context(), number, opts...)
			if diff := cmp.Diff(wantErr, err, cmp.Transformer("error", describe)); diff != "" {
				t.Errorf("errors of %q differ (-unary +shared):\n%s", number, diff)
			}
			if err != nil {
				isZero(t, got)
			}
			got.CheckedAt, want.CheckedAt = time.Time{}, time.Time{}
			if want.Verdict == client.Allow {
				want.Reasons, got.Reasons = nil, nil // on a stream they come with client.Explain
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%q differs (-unary +shared):\n%s", number, diff)
			}
		}
	}
	if total(shared).Checks == 0 || total(alone).Checks != 0 {
		t.Errorf("%d and %d checks were on streams, want some and none", total(shared).Checks, total(alone).Checks)
	}
}

// told is what an error tells.
type told struct {
	Reason, Message, Code string
	Metadata              map[string]string
}

func describe(err error) told {
	var e *client.Error
	if !errors.As(err, &e) {
		return told{}
	}
	return told{e.Reason, e.Message, e.Code(), e.Metadata}
}

// crowdOf runs n callers and waits for them.
func crowdOf(n int, caller func(i int)) {
	var callers sync.WaitGroup
	for i := range n {
		callers.Go(func() { caller(i) })
	}
	callers.Wait()
}

// TestAnswersAreNeverMixedUp asks from many callers while answers come late, twice and out
// of order, callers give up, streams give way, and connections break. Each call
// returns once: its own number's answer, or an error with nothing.
func TestAnswersAreNeverMixedUp(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("soak", func(t *testing.T) {
		_, addr := script(t, wildly)
		p := newProxy(t, addr)
		c := connect(t, p.addr(), client.WithConnections(3), client.WithStreamLife(30*time.Millisecond))
		stop := make(chan struct{})
		var cutter sync.WaitGroup
		cutter.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(rand.N(60 * time.Millisecond)):
					p.cut()
				}
			}
		})
		var answered, failed atomic.Int64
		end := time.Now().Add(3 * time.Second)
		crowdOf(64, func(i int) {
			for n := i; time.Now().Before(end) || answered.Load() < 100 && time.Now().Before(end.Add(patience)); n += 64 {
				askInSomeWay(t, c, numberAt(n), &answered, &failed)
			}
		})
		close(stop)
		cutter.Wait()
		if answered.Load() < 100 {
			t.Errorf("only %d checks were answered, %d failed", answered.Load(), failed.Load())
		}
		t.Logf("%d answered, %d failed: %+v", answered.Load(), failed.Load(), c.Stats().Connections)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// askInSomeWay asks with a context of any kind.
func askInSomeWay(t *testing.T, c *client.Client, number string, answered, failed *atomic.Int64) {
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	switch rand.IntN(4) {
	case 0:
		ctx, cancel = context.WithTimeout(ctx, rand.N(20*time.Millisecond))
	case 1:
		ctx, cancel = context.WithCancel(ctx)
		time.AfterFunc(rand.N(20*time.Millisecond), cancel)
	}
	defer cancel()
	var opts []client.CheckOption
	if rand.IntN(4) == 0 {
		opts = append(opts, client.Region("US"))
	}
	r, err := c.Check(ctx, number, opts...)
	if err == nil {
		answered.Add(1)
		tells(t, number, r)
		return
	}
	failed.Add(1)
	isZero(t, r)
	if ctx.Err() == nil && !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v (%+v)", err, describe(err))
	}
}

// TestChecksShareMessages checks that callers ride together, and that a lone one does not wait.
func TestChecksShareMessages(t *testing.T) {
	t.Parallel()
	s, addr := script(t, promptly)
	c := connect(t, addr)
	for i := range 100 {
		r, err := c.Check(t.Context(), numberAt(i))
		if err != nil {
			t.Fatal(err)
		}
		tells(t, numberAt(i), r)
	}
	if sum := total(c); sum.Checks != 100 || sum.Messages != 100 {
		t.Errorf("100 checks in turn were %d in %d messages", sum.Checks, sum.Messages)
	}
	crowdOf(64, func(i int) {
		for n := range 200 {
			if r, err := c.Check(t.Context(), numberAt(i*200+n)); err != nil {
				t.Error(err)
			} else {
				tells(t, numberAt(i*200+n), r)
			}
		}
	})
	sum := total(c)
	if sum.Checks != 100+64*200 || sum.Messages > sum.Checks/2 || sum.Pending != 0 {
		t.Errorf("got %+v, want 12,900 checks in half as many messages at most", sum)
	}
	if s.unary.Load() != 0 {
		t.Errorf("%d checks were unary", s.unary.Load())
	}
}

// total adds up the connections.
func total(c *client.Client) client.ConnectionStats {
	var sum client.ConnectionStats
	for _, s := range c.Stats().Connections {
		sum.Streams += s.Streams
		sum.Checks += s.Checks
		sum.Messages += s.Messages
		sum.Pending += s.Pending
		sum.Retries += s.Retries
		sum.Broken += s.Broken
		sum.Cancelled += s.Cancelled
	}
	return sum
}

func TestStreamsThatEndCostNoAnswer(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]func(checkServerStream) error{
		"cleanly":       after(3, nil),
		"broken":        after(3, status.Error(codes.Unavailable, "gone")),
		"refused":       after(3, status.Error(codes.InvalidArgument, "a message breaks its limits")),
		"before any":    after(0, nil),
		"without cause": after(1, status.Error(codes.Internal, "reset")),
	} {
		t.Run(name, func(t *testing.T) {
			_, addr := script(t, stream)
			c := connect(t, addr)
			crowdOf(8, func(i int) {
				for n := range 20 {
					r, err := c.Check(t.Context(), numberAt(i*100+n))
					if name == "broken" && errors.Is(err, client.ErrUnavailable) {
						continue // four times in a row
					}
					if err != nil {
						t.Error(err)
						return
					}
					tells(t, numberAt(i*100+n), r)
				}
			})
		})
	}
}

func TestServerWithoutStreams(t *testing.T) {
	t.Parallel()
	s, addr := script(t, after(0, status.Error(codes.Unimplemented, "not built")))
	c := connect(t, addr, client.WithConnections(1))
	for i := range 50 {
		r, err := c.Check(t.Context(), numberAt(i))
		if err != nil {
			t.Fatal(err)
		}
		tells(t, numberAt(i), r)
	}
	if s.streams.Load() != 1 || s.unary.Load() != 50 {
		t.Errorf("50 checks were %d streams and %d unary calls, want 1 and 50", s.streams.Load(), s.unary.Load())
	}
}

func TestUnaryChecksOpenNoStream(t *testing.T) {
	t.Parallel()
	s, addr := script(t, promptly)
	c := connect(t, addr, client.WithUnaryChecks())
	if _, err := c.Check(t.Context(), numberAt(1)); err != nil || s.streams.Load() != 0 || s.unary.Load() != 1 {
		t.Errorf("got %v after %d streams and %d unary calls", err, s.streams.Load(), s.unary.Load())
	}
}

// TestGivingUp checks that a call returns with its context, or its timeout, while the others
// of its message go on, and that a late answer reaches nobody.
func TestGivingUp(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	_, addr := script(t, holding(release))
	c := connect(t, addr, client.WithConnections(1))
	hasty := connect(t, addr, client.WithTimeout(50*time.Millisecond))

	const beside = 20
	var waiting sync.WaitGroup
	for i := range beside {
		waiting.Go(func() {
			r, err := c.Check(context.Background(), numberAt(i))
			if err != nil {
				t.Error(err)
				return
			}
			tells(t, numberAt(i), r)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	var r client.Result
	var err error
	asking.Go(func() { r, err = c.Check(ctx, numberAt(100)) })
	eventually(t, "all are sent", func() bool { return total(c).Checks == beside+1 })
	cancel()
	asking.Wait()
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	isZero(t, r)
	ctx, cancel = context.WithTimeout(t.Context(), time.Second) // by then it is on the stream too
	defer cancel()
	r, err = c.Check(ctx, numberAt(101))
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	isZero(t, r)
	begun := time.Now()
	r, err = hasty.Check(context.Background(), numberAt(102))
	if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took < 50*time.Millisecond || took > patience {
		t.Errorf("got %v after %v, want %v after 50ms", err, took, context.DeadlineExceeded)
	}
	isZero(t, r)
	close(release)
	waiting.Wait()
	for i := range 100 {
		r, err := c.Check(t.Context(), numberAt(1000+i))
		if err != nil {
			t.Fatal(err)
		}
		tells(t, numberAt(1000+i), r)
	}
	if sum := total(c); sum.Cancelled != 2 || sum.Pending != 0 {
		t.Errorf("got %+v, want 2 cancelled and none pending", sum)
	}
}

// TestServerThatDoesNotRead checks that no caller is held beyond its deadline by a
// connection that takes no more.
func TestServerThatDoesNotRead(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("stall", func(t *testing.T) {
		_, addr := script(t, func(stream checkServerStream) error {
			if err := after(1, nil)(stream); err != nil { // so that callers send themselves
				return err
			}
			<-stream.Context().Done()
			return nil
		})
		c := connect(t, addr, client.WithConnections(1), client.WithMaxPending(3000))
		if _, err := c.Check(t.Context(), numberAt(0)); err != nil {
			t.Fatal(err)
		}
		crowdOf(500, func(i int) {
			for n := range 10 {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				begun := time.Now()
				r, err := c.Check(ctx, numberAt(n), client.Scope(fmt.Sprintf("%0200d", i)))
				cancel()
				if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > patience {
					t.Errorf("got %v after %v", err, took)
				}
				isZero(t, r)
			}
		})
		c.Close()
	})
}

// TestPendingIsBounded checks that a check beyond the bound waits for room.
func TestPendingIsBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	_, addr := script(t, holding(release))
	c := connect(t, addr, client.WithConnections(1), client.WithMaxPending(10))
	var callers sync.WaitGroup
	for i := range 40 {
		callers.Go(func() {
			r, err := c.Check(context.Background(), numberAt(i))
			if err != nil {
				t.Error(err)
				return
			}
			tells(t, numberAt(i), r)
		})
	}
	for total(c).Checks < 10 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Check(ctx, numberAt(50)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	if sum := total(c); sum.Checks != 10 || sum.Pending != 10 {
		t.Errorf("got %+v, want 10 sent and pending", sum)
	}
	close(release)
	callers.Wait()
}

// TestRevisionOfOneHoldsUpNobody asks for a revision that is not there, beside others.
func TestRevisionOfOneHoldsUpNobody(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t), client.WithConnections(1))
	receipt := optOut(t, c, "+14155550100", "")
	slow := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := c.Check(ctx, "+14155550100", client.AtLeast(following(receipt.Position)))
		slow <- err
	}()
	for i := range 200 {
		if _, err := c.Check(t.Context(), numberAt(i)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-slow:
		t.Fatalf("a revision that is not there was answered: %v", err)
	default:
	}
	optOut(t, c, "+14155550101", "")
	if err := <-slow; err != nil {
		t.Error(err)
	}
}

func TestCloseEndsCalls(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("close", func(t *testing.T) {
		_, addr := script(t, holding(nil))
		c := connect(t, addr)
		var callers sync.WaitGroup
		for i := range 10 {
			callers.Go(func() {
				r, err := c.Check(context.Background(), numberAt(i))
				if !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want %v", err, context.Canceled)
				}
				isZero(t, r)
			})
		}
		for total(c).Checks < 10 {
			time.Sleep(time.Millisecond)
		}
		c.Close()
		callers.Wait()
		r, err := c.Check(context.Background(), numberAt(1))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("after Close got %v, want %v", err, context.Canceled)
		}
		isZero(t, r)
	})
}

// TestStreamsGiveWay checks that a stream that gives way answers what it took.
func TestStreamsGiveWay(t *testing.T) {
	t.Parallel()
	s, addr := script(t, wildly)
	c := connect(t, addr, client.WithStreamLife(10*time.Millisecond), client.WithConnections(1))
	crowdOf(8, func(i int) {
		for n := range 50 {
			r, err := c.Check(t.Context(), numberAt(i*100+n))
			if err != nil {
				t.Error(err)
				return
			}
			tells(t, numberAt(i*100+n), r)
		}
	})
	if sum := total(c); s.streams.Load() < 5 || sum.Retries != 0 || sum.Broken != 0 {
		t.Errorf("%d streams, %+v: want several, and nothing retried", s.streams.Load(), sum)
	}
}
