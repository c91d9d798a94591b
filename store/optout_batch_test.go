package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

func day(d int) time.Time { return time.Date(2026, 9, d, 0, 0, 0, 0, time.UTC) }

func recordAll(t testing.TB, s *Store, rows []RecordRow) []Outcome {
	t.Helper()
	outcomes, err := s.RecordOptOuts(context.Background(), rows)
	if err != nil {
		t.Fatal("record opt-outs:", err)
	}
	if len(outcomes) != len(rows) {
		t.Fatalf("%d outcomes of %d rows", len(outcomes), len(rows))
	}
	return outcomes
}

func row(n phone.Number, scope policy.Scope, c policy.Channel, received time.Time) RecordRow {
	return RecordRow{OptOut: OptOut{Number: n, Scope: scope, Channel: c, ReceivedAt: received}, Story: Story{Desk: "desk"}}
}

func duplicates(outcomes []Outcome) []bool {
	out := make([]bool, len(outcomes))
	for i, o := range outcomes {
		out[i] = o.Duplicate
	}
	return out
}

func TestBulkTellsDuplicates(t *testing.T) {
	t.Parallel()
	a, b := fiction(415, 1), fiction(415, 2)
	call, email := policy.ChannelCall, policy.ChannelEmail
	rows := []RecordRow{
		row(a, "acme", call, day(1)),
		row(a, "acme", call, day(1)),         // the same, in the same group
		row(a, "acme", call, day(2)),         // another day
		row(a, "acme", email, day(1)),        // another channel
		row(a, "acme/telecom", call, day(1)), // another scope
		row(a, "acme", call, time.Time{}),    // no date: any will do
		row(b, "acme", call, time.Time{}),
		row(b, "acme", call, time.Time{}),
		row(b, "acme", call, day(1)), // none with that date
	}
	want := []bool{false, true, false, false, false, true, false, true, false}
	dir := t.TempDir()
	s := open(t, dir)
	outcomes := recordAll(t, s, rows)
	if got := duplicates(outcomes); !slices.Equal(got, want) {
		t.Errorf("first time: duplicates %v, want %v", got, want)
	}
	if outcomes[1].ID != outcomes[0].ID || outcomes[5].ID != outcomes[0].ID {
		t.Errorf("duplicates name events %v and %v, want %v", outcomes[1].ID, outcomes[5].ID, outcomes[0].ID)
	}
	before := s.View().Revision()
	closeStore(t, s)
	s = open(t, dir)
	all := duplicates(recordAll(t, s, rows))
	if slices.Contains(all, false) || s.View().Revision() != before {
		t.Errorf("after a restart: duplicates %v at revision %d, want all of them at %d", all, s.View().Revision(), before)
	}
	facts, err := s.View().Number(a, s.Now())
	if err != nil || len(facts.Records) != 4 {
		t.Errorf("%d records, %v, want 4", len(facts.Records), err)
	}
}

func TestBulkRecordsAgainWhatIsNoLongerInForce(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	rows := []RecordRow{row(fiction(415, 1), "acme", policy.ChannelCall, day(1))}
	recordAll(t, s, rows)
	if _, err := s.WithdrawOptOut(context.Background(), rows[0].Number, "acme", Request{}); err != nil {
		t.Fatal(err)
	}
	if outcomes := recordAll(t, s, rows); outcomes[0].Duplicate {
		t.Error("a withdrawn opt-out made the row a duplicate")
	}
	wantVerdict(t, s, rows[0].Number, "acme", policy.Block, policy.CauseNone)
}

func TestBulkRefusesRowsAlone(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	good, full := fiction(415, 1), fiction(415, 2)
	rows := []RecordRow{row(good, "", policy.ChannelCall, day(1)), row(1, "", policy.ChannelCall, day(1))}
	long := policy.Scope(strings.Repeat("a", 255))
	for i := range 300 {
		rows = append(rows, row(full, long, policy.ChannelCall, day(1).Add(time.Duration(i)*time.Second)))
	}
	rows = append(rows, row(good, "", policy.ChannelEmail, day(1)))
	outcomes := recordAll(t, s, rows)
	if !errors.Is(outcomes[1].Err, ErrNumber) {
		t.Errorf("a number that is none: %v", outcomes[1].Err)
	}
	if !errors.Is(outcomes[301].Err, ErrTooManyRecords) {
		t.Errorf("the 300th record: %v, want ErrTooManyRecords", outcomes[301].Err)
	}
	if last := outcomes[len(outcomes)-1]; last.Err != nil || last.Duplicate {
		t.Errorf("the row after them: %+v", last)
	}
}

// TestBulkLeavesRoomForOthers: a bulk never fills the queue, so a single opt-out is not refused as ErrBusy.
func TestBulkLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	done := make(chan error, 1)
	go func() {
		_, err := s.RecordOptOuts(context.Background(), bulkRows(0, 20*batchRows))
		done <- err
	}()
	for i := range 10 {
		optOut(t, s, fiction(212, i), "acme")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBulkEndsWithItsContextAndItsStore(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.RecordOptOuts(ctx, bulkRows(0, 5000)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := s.RecordOptOuts(context.Background(), bulkRows(0, 5000)); err != nil {
				done <- err
				return
			}
		}
	}()
	time.Sleep(20 * time.Millisecond)
	closeStore(t, s)
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// An objection for good is not the duplicate of one that ends.
func TestBulkKeepsTheLongerOptOut(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(1))
	s := openAt(t, t.TempDir(), clock)
	n := fiction(415, 1)
	ending := row(n, "acme", policy.ChannelCall, time.Time{})
	ending.ExpiresAt = day(2)
	for i, c := range []struct {
		row       RecordRow
		duplicate bool
	}{
		{ending, false},
		{ending, true},
		{row(n, "acme", policy.ChannelCall, time.Time{}), false},
		{ending, true},
	} {
		if got := recordAll(t, s, []RecordRow{c.row})[0].Duplicate; got != c.duplicate {
			t.Errorf("row %d: duplicate %v, want %v", i, got, c.duplicate)
		}
	}
	clock.set(day(3))
	wantVerdict(t, s, n, "acme", policy.Block, policy.CauseNone)
}
