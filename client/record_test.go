package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dncd/dncd/client"
)

func optOut(t testing.TB, c *client.Client, number, scope string) client.Receipt {
	t.Helper()
	receipt, err := c.RecordOptOut(t.Context(), client.OptOut{Number: number, Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func TestOptOutAndWithdraw(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := connect(t, serve(t), client.WithUser("ana"))
	received := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	receipt, err := c.RecordOptOut(ctx, client.OptOut{
		Number: "01 99 00 12 34", Region: "FR", Scope: "acme", Channel: client.ChannelInPerson, Desk: "after-sales",
		ReceivedAt: received, Evidence: "ticket-1", Note: "twice", ExpiresAt: received.AddDate(50, 0, 0),
	})
	if err != nil || receipt.Number != "+33199001234" || receipt.Revision != 1 || receipt.JournalID == "" || receipt.RequestID == "" {
		t.Fatalf("got %+v (%v)", receipt, err)
	}
	info, err := c.GetNumber(ctx, "+33199001234", client.AtLeast(receipt.Position))
	if err != nil || len(info.Records) != 1 {
		t.Fatalf("got %+v (%v), want one record", info, err)
	}
	r := info.Records[0]
	wantStory := client.Story{State: client.StoryPresent, Desk: "after-sales", Evidence: "ticket-1", Note: "twice", RecordedBy: "ana"}
	if r.Kind != client.KindOptOut || r.Scope != "acme" || r.Channel != client.ChannelInPerson || !r.ReceivedAt.Equal(received) || !r.InForce || r.Story != wantStory {
		t.Errorf("got record %+v", r)
	}
	w := client.Withdrawal{Number: "+33199001234", Scope: "acme", Reason: "asked again"}
	gone, err := c.WithdrawOptOut(ctx, w)
	if err != nil || gone.Withdrawn != 1 || gone.Revision != 2 {
		t.Fatalf("got %+v (%v)", gone, err)
	}
	if _, err := c.WithdrawOptOut(ctx, w); !errors.Is(err, client.ErrNothingToWithdraw) {
		t.Errorf("the second withdrawal: got %v, want %v", err, client.ErrNothingToWithdraw)
	}
	h, err := c.History(ctx, "+33199001234")
	if err != nil || len(h.Events) != 2 || h.Events[0].Kind != client.EventOptOutRecorded || h.Events[1].Kind != client.EventOptOutWithdrawn {
		t.Fatalf("got %+v (%v)", h, err)
	}
	if ended := h.Events[1].Ended; len(ended) == 1 && ended[0] != h.Events[0].ID {
		t.Errorf("the withdrawal ended %v, want %v", ended, h.Events[0].ID)
	}
}

func TestRecordErrors(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	for _, tt := range []struct {
		optOut client.OptOut
		want   error
	}{
		{client.OptOut{}, client.ErrNumberEmpty},
		{client.OptOut{Number: "+14155550100", Channel: "pigeon"}, client.ErrInvalidArgument},
		{client.OptOut{Number: "+14155550100", Scope: "a//b"}, client.ErrInvalidArgument},
		{client.OptOut{Number: "4155550100"}, client.ErrNumberNoCountry},
	} {
		if receipt, err := c.RecordOptOut(t.Context(), tt.optOut); !errors.Is(err, tt.want) || receipt != (client.Receipt{}) {
			t.Errorf("%+v: got %+v (%v), want %v", tt.optOut, receipt, err, tt.want)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	o := client.OptOut{Number: "+14155550100", RequestID: "r-1"}
	first, err := c.RecordOptOut(t.Context(), o)
	if err != nil || first.Duplicate {
		t.Fatalf("got %+v (%v)", first, err)
	}
	optOut(t, c, "+14155550101", "")
	again, err := c.RecordOptOut(t.Context(), o)
	if err != nil || !again.Duplicate || again.Revision != first.Revision {
		t.Errorf("got %+v (%v), want the first answer again", again, err)
	}
	o.Number = "+14155550102"
	if _, err := c.RecordOptOut(t.Context(), o); !errors.Is(err, client.ErrRequestIDReused) {
		t.Errorf("got %v, want %v", err, client.ErrRequestIDReused)
	}
}

// recordedBehind records an opt-out through a proxy that swallows the answer, and returns once the server has it.
func recordedBehind(ctx context.Context, t *testing.T, p *proxy, c *client.Client, number string) (end func() (client.Receipt, error)) {
	t.Helper()
	type outcome struct {
		receipt client.Receipt
		err     error
	}
	ended := make(chan outcome, 1)
	p.mute.Store(true)
	go func() {
		receipt, err := c.RecordOptOut(ctx, client.OptOut{Number: number})
		ended <- outcome{receipt, err}
	}()
	beside := connect(t, p.target.Load().(string))
	eventually(t, "the server has the opt-out", func() bool {
		info, err := beside.GetNumber(t.Context(), number)
		if err != nil {
			t.Fatal(err)
		}
		return len(info.Records) > 0
	})
	return func() (client.Receipt, error) {
		o := <-ended
		return o.receipt, o.err
	}
}

// TestLostAcknowledgement checks that a write whose answer was lost is tried again and counted once.
func TestLostAcknowledgement(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t))
	c := connect(t, p.addr(), client.WithConnections(1))
	optOut(t, c, "+14155550100", "") // connects
	end := recordedBehind(t.Context(), t, p, c, "+14155550101")
	p.cut()
	receipt, err := end()
	if err != nil || !receipt.Duplicate {
		t.Fatalf("got %+v (%v), want the answer that was lost", receipt, err)
	}
	info, err := c.GetNumber(t.Context(), "+14155550101")
	if err != nil || len(info.Records) != 1 {
		t.Errorf("got %d records (%v), want 1", len(info.Records), err)
	}
}

// TestUnknownOutcomeNamesItsRequestID checks that a caller can try such a write again by itself.
func TestUnknownOutcomeNamesItsRequestID(t *testing.T) {
	t.Parallel()
	p := newProxy(t, serve(t))
	c := connect(t, p.addr(), client.WithConnections(1))
	optOut(t, c, "+14155550100", "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := recordedBehind(ctx, t, p, c, "+14155550101")
	cancel()
	_, err := end()
	p.cut()
	var e *client.Error
	if !errors.As(err, &e) || e.Metadata["request_id"] == "" {
		t.Fatalf("got %v with %+v, want the request id", err, e)
	}
	receipt, err := c.RecordOptOut(t.Context(), client.OptOut{Number: "+14155550101", RequestID: e.Metadata["request_id"]})
	if err != nil || !receipt.Duplicate {
		t.Errorf("got %+v (%v), want a duplicate", receipt, err)
	}
}
