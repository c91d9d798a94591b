package client_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/client"
)

// A result that was kept comes again, and says which tables of the server are not those that it was decided with.
func TestLoggedResultComesAgain(t *testing.T) {
	t.Parallel()
	c := connect(t, serve(t))
	ctx, cancel := soon()
	defer cancel()
	const number = "+14155550123"
	optOut(t, c, number, "acme")
	kept, err := c.Check(ctx, number, client.Scope("acme"), client.Explain())
	if err != nil || kept.Verdict != client.Block || kept.TablesVersion == "" {
		t.Fatalf("got %+v, %v; want Block, with tables", kept, err)
	}
	if _, err := c.WithdrawOptOut(ctx, client.Withdrawal{Number: number, Scope: "acme", Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
	again, err := c.Check(ctx, number, client.Scope("acme"), client.Logged(kept))
	if diff := cmp.Diff(kept, again); err != nil || diff != "" {
		t.Errorf("%v (-kept +again):\n%s", err, diff)
	}
	shown, err := c.GetNumber(ctx, number, client.Scope("acme"), client.Logged(kept))
	if diff := cmp.Diff(&kept, shown.Check); err != nil || diff != "" {
		t.Errorf("GetNumber: %v (-kept +again):\n%s", err, diff)
	}
	kept.ClockAhead, kept.TablesVersion = time.Second, "phone:1,carriers:1"
	differ := []string{"phone", "zones", "tzdata", "holidays", "carriers"}
	want := func(call string, r client.Result, err error) {
		if err != nil || r.Verdict != client.Block || r.Position != kept.Position || !r.CheckedAt.Equal(kept.CheckedAt) || r.ClockAhead != time.Second ||
			!slices.Equal(r.TablesDifference, differ) {
			t.Errorf("%s: got %+v, %v", call, r, err)
		}
	}
	again, err = c.Check(ctx, number, client.Scope("acme"), client.Logged(kept))
	want("Check", again, err)
	batch, err := c.CheckBatch(ctx, []uint64{14155550123}, client.Scope("acme"), client.Logged(kept))
	if err != nil {
		t.Fatal(err)
	}
	want("CheckBatch", client.Result{
		Verdict: batch.Verdict(0), Position: batch.Position, CheckedAt: batch.CheckedAt, ClockAhead: batch.ClockAhead, TablesDifference: batch.TablesDifference,
	}, nil)
	for r, err := range c.CheckAll(ctx, slices.Values([]string{number}), client.Scope("acme"), client.Logged(kept)) {
		want("CheckAll", r, err)
	}
	info, err := c.GetNumber(ctx, number, client.Logged(kept))
	if err != nil || len(info.Records) != 1 || !slices.Equal(info.TablesDifference, differ) || info.TablesVersion != batch.TablesVersion {
		t.Errorf("GetNumber: got %+v, %v", info, err)
	}
}
