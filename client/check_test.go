package client_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/client"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// isZero fails the test unless an error came with the zero Result.
func isZero(t *testing.T, r client.Result) {
	t.Helper()
	if !reflect.ValueOf(r).IsZero() || r.Callable() {
		t.Errorf("an error came with %+v", r)
	}
}

func TestCallableIsAllowAlone(t *testing.T) {
	t.Parallel()
	for verdict, want := range map[client.Verdict]bool{
		client.Allow: true, client.Block: false, client.NotNow: false, client.Unknown: false, "": false, "MAYBE": false,
	} {
		if got := (client.Result{Verdict: verdict}).Callable(); got != want {
			t.Errorf("%q: callable is %v, want %v", verdict, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := connect(t, serve(t), client.WithScope("acme/telecom"))
	receipt := optOut(t, c, "+1 415 555 0100", "acme")

	r, err := c.Check(ctx, "+1 (415) 555-0100")
	if err != nil || r.Verdict != client.Block || r.Number != "+14155550100" || r.Revision != receipt.Revision {
		t.Errorf("at the default scope got %+v (%v), want BLOCK at revision %d", r, err, receipt.Revision)
	}
	if len(r.Reasons) != 1 || r.Reasons[0].Kind != client.ReasonOptOut || r.Reasons[0].Scope != "acme" || r.Reasons[0].Record.Revision != receipt.Revision {
		t.Errorf("got reasons %+v", r.Reasons)
	}
	for scope, want := range map[string]client.Verdict{"acmeco": client.Allow, "other": client.Allow, "": client.Block, "ACME/x": client.Block} {
		if r, err := c.Check(ctx, "+14155550100", client.Scope(scope)); err != nil || r.Verdict != want {
			t.Errorf("at scope %q got %v (%v), want %v", scope, r.Verdict, err, want)
		}
	}
	if r, err := c.Check(ctx, "(415) 555-0100", client.Region("us")); err != nil || r.Verdict != client.Block {
		t.Errorf("of a national number got %v (%v), want BLOCK", r.Verdict, err)
	}
}

func TestCheckErrors(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	tests := []struct {
		number string
		opts   []client.CheckOption
		want   error
	}{
		{"", nil, client.ErrNumberEmpty},
		{" ", nil, client.ErrNumberEmpty},
		{"hello", nil, client.ErrNumberSyntax},
		{"\xff\xfe", nil, client.ErrNumberSyntax},
		{"+１４１５５５５０１００", nil, client.ErrNumberSyntax},
		{strings.Repeat("+", 65), nil, client.ErrNumberLength},
		{"0199001234", nil, client.ErrNumberNoCountry},
		{"+1415555010", nil, client.ErrNumberLength},
		{"+14155550100", []client.CheckOption{client.Scope("a//b")}, client.ErrInvalidArgument},
		{"+14155550100", []client.CheckOption{client.Region("XX")}, client.ErrInvalidArgument},
		{"+14155550100", []client.CheckOption{client.AtLeast(client.Position{Revision: 1, JournalID: strings.Repeat("0", 32)})}, client.ErrJournalChanged},
		{"+14155550100", []client.CheckOption{client.AtLeast(client.Position{Tag: strings.Repeat("0", 16)})}, client.ErrJournalForked},
		{"+14155550100", []client.CheckOption{client.AtLeast(client.Position{Tag: "no tag"})}, client.ErrJournalForked},
	}
	for _, tt := range tests {
		r, err := c.Check(t.Context(), tt.number, tt.opts...)
		if !errors.Is(err, tt.want) {
			t.Errorf("Check(%q): got %v, want %v", tt.number, err, tt.want)
		}
		isZero(t, r)
		if err != nil && tt.number != "" && strings.TrimSpace(tt.number) != "" && strings.Contains(err.Error(), tt.number) {
			t.Errorf("the error holds the number: %v", err)
		}
	}
}

func TestAtLeast(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	receipt := optOut(t, c, "+14155550100", "")
	if r, err := c.Check(t.Context(), "+14155550100", client.AtLeast(receipt.Position)); err != nil || r.Revision < receipt.Revision {
		t.Errorf("got revision %d (%v), want %d", r.Revision, err, receipt.Revision)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r, err := c.Check(ctx, "+14155550100", client.AtLeast(following(receipt.Position)))
	late := errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil // on a busy machine the answer is
	if !errors.Is(err, client.ErrRevisionNotReached) && !late {
		t.Errorf("got %v, want %v", err, client.ErrRevisionNotReached)
	}
	isZero(t, r)
}

// TestAtLeastIsAskedForInTime has a server that answers as soon as it is asked what would come in the end: a check
// waits there for less than the time of its caller.
func TestAtLeastIsAskedForInTime(t *testing.T) {
	t.Parallel()
	var wait atomic.Int64
	_, addr := script(t, func(stream checkServerStream) error {
		req, err := stream.Recv()
		if err != nil {
			return ofEnd(err)
		}
		wait.Store(int64(req.GetChecks()[0].GetTimeout().AsDuration()))
		m := answer(req.GetChecks())
		refuse(m.GetAnswers()[0], dncv1.ErrorReason_ERROR_REASON_REVISION_NOT_REACHED)
		return stream.Send(m)
	})
	r, err := connect(t, addr).Check(t.Context(), "+14155550100", client.AtLeast(client.Position{Revision: 9}))
	if !errors.Is(err, client.ErrRevisionNotReached) {
		t.Errorf("got %v, want %v", err, client.ErrRevisionNotReached)
	}
	isZero(t, r)
	if got := time.Duration(wait.Load()); got <= 0 || got >= patience {
		t.Errorf("the server may wait for %v, want less than the %v of the caller", got, patience)
	}
}

// deadAddress is one that nobody listens on, and that no other test is given.
const deadAddress = "127.0.0.1:1"

func TestWithoutServer(t *testing.T) {
	t.Parallel()
	c := connect(t, deadAddress)
	r, err := c.Check(t.Context(), "+14155550100")
	if !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("got %v, want %v", err, client.ErrUnavailable)
	}
	isZero(t, r)
	for r, err := range c.CheckAll(t.Context(), slices.Values([]string{"+14155550100", "+14155550101"})) {
		if !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("CheckAll: got %v, want %v", err, client.ErrUnavailable)
		}
		isZero(t, r)
	}
}

func TestWaitForReady(t *testing.T) {
	t.Parallel()
	c := connect(t, deadAddress, client.WithTimeout(100*time.Millisecond), client.WithWaitForReady())
	r, err := c.Check(t.Context(), "+14155550100")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
	isZero(t, r)
}

// TestReconnect checks that a broken connection costs no answer.
func TestReconnect(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t))
	c := connect(t, p.addr())
	for range 20 {
		if _, err := c.Check(t.Context(), "+14155550100"); err != nil {
			t.Fatalf("after a cut: %v", err)
		}
		p.cut()
	}
}

// numbersOf makes n numbers of +1 415, of which every tenth is none.
func numbersOf(n int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range n {
			number := fmt.Sprintf("+1415%07d", 2000000+i)
			if i%10 == 3 {
				number = "not a number"
			}
			if !yield(number) {
				return
			}
		}
	}
}

func TestCheckAll(t *testing.T) {
	t.Parallel()
	const n = 25_000
	c := connect(t, serve(t))
	optOut(t, c, "+14152000005", "")
	for name, opts := range map[string][]client.CheckOption{"as digits": nil, "as strings": {client.Region("US")}} {
		i := 0
		for r, err := range c.CheckAll(t.Context(), numbersOf(n), opts...) {
			want := fmt.Sprintf("+1415%07d", 2000000+i)
			switch {
			case i%10 == 3:
				if !errors.Is(err, client.ErrNumberSyntax) {
					t.Fatalf("%s: at %d got %v, want an error of the number", name, i, err)
				}
				isZero(t, r)
			case err != nil || r.Number != want || r.Callable() != (i != 5):
				t.Fatalf("%s: at %d got %+v (%v), want %s", name, i, r, err, want)
			case i == 5 && (len(r.Reasons) != 1 || r.Reasons[0].Kind != client.ReasonOptOut):
				t.Errorf("%s: got reasons %+v", name, r.Reasons)
			}
			i++
		}
		if i != n {
			t.Errorf("%s: got %d results, want %d", name, i, n)
		}
	}
}

// TestCheckAllAgreesWithCheck compares what both say about the same numbers.
func TestCheckAllAgreesWithCheck(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	createRegistry(t, c, "us-ftc", "1415")
	optOut(t, c, "+14155550101", "acme")
	numbers := []string{"+14155550100", "+14155550101", "+14165550100", "+18185550100", "+33199001234"}
	i := 0
	for got, err := range c.CheckAll(t.Context(), slices.Values(numbers)) {
		if err != nil {
			t.Fatal(err)
		}
		want, err := c.Check(t.Context(), numbers[i])
		if err != nil {
			t.Fatal(err)
		}
		got.CheckedAt, want.CheckedAt = time.Time{}, time.Time{}
		if diff := cmp.Diff(want.Reasons, got.Reasons, cmp.Transformer("empty", func(r []client.Reason) []client.Reason {
			return append([]client.Reason{}, r...)
		})); diff != "" {
			t.Errorf("reasons of %s differ (-Check +CheckAll):\n%s", numbers[i], diff)
		}
		got.Reasons, want.Reasons = nil, nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s differs (-Check +CheckAll):\n%s", numbers[i], diff)
		}
		i++
	}
}

// TestCheckAllReadsAFewBatchesAhead checks that memory is bounded, and that a caller who stops
// early stops the reading.
func TestCheckAllReadsAFewBatchesAhead(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	read := 0
	endless := func(yield func(string) bool) {
		for yield("+14155550100") {
			read++
		}
	}
	got := 0
	for _, err := range c.CheckAll(t.Context(), endless) {
		if err != nil {
			t.Fatal(err)
		}
		if got++; got == 100 {
			break
		}
	}
	if read > 10_000 {
		t.Errorf("read %d numbers for 100 results", read)
	}
}

func TestCheckAllEndsAtTheContextsEnd(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for _, err := range c.CheckAll(ctx, numbersOf(1_000_000)) {
		if n++; n == 5000 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || n > 30_000 {
		t.Errorf("ended after %d results with %v", n, last)
	}
}
