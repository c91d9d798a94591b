package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// report is the report of a period, in words.
func report(t *testing.T, s *Store, q ReportQuery) (*PropagationReport, map[string]string) {
	t.Helper()
	r, err := s.View().Propagation(context.Background(), q, func(uint64, uint64) {})
	must(t, err)
	words := map[string]string{}
	for _, d := range r.Desks {
		name := "unknown"
		if d.Desk != nil {
			name = fmt.Sprint(d.Desk.Name, " ", d.Desk.ID.Revision)
		}
		words[fmt.Sprint(name, " ", d.Channel, " ", d.Imported)] = fmt.Sprint(d.OptOuts, ": ", inSpread(&d.Received))
	}
	for _, sub := range r.Subscribers {
		for stage := feed.Received; stage <= feed.Applied; stage++ {
			words[fmt.Sprint(sub.Name, " ", sub.ID.Revision, " ", stage)] = inStage(sub.Single.Of(stage))
			words[fmt.Sprint(sub.Name, " ", sub.ID.Revision, " ", stage, " imported")] = inStage(sub.Imported.Of(stage))
		}
	}
	return r, words
}

func inSpread(s *Spread) string {
	return fmt.Sprint(s.Count(), " in ", s.Quantile(0.5), " ", s.Quantile(0.95), " ", s.Quantile(1))
}

func inStage(s *ReportStage) string {
	oldest := "-"
	if !s.Oldest.IsZero() {
		oldest = s.Oldest.Format("02T15:04")
	}
	return fmt.Sprint(inSpread(&s.Acknowledged), ", claimed ", s.Claimed, ", pending ", s.Pending, " since ", oldest, ", late ", s.Late)
}

func wantLines(t *testing.T, words, want map[string]string) {
	t.Helper()
	for line, text := range want {
		if words[line] != text {
			t.Errorf("%s:\ngot  %q\nwant %q", line, words[line], text)
		}
	}
}

// receivedAt records an objection that came in at a desk, by telephone.
func receivedAt(t *testing.T, s *Store, n phone.Number, scope policy.Scope, desk string, at time.Time) Receipt {
	t.Helper()
	r, err := s.RecordOptOut(context.Background(), OptOut{Number: n, Scope: scope, Channel: policy.ChannelCall, ReceivedAt: at}, Request{Story: Story{Desk: desk}})
	must(t, err)
	return r
}

// Desks are counted by their ids: one that is removed stays, and one that takes its name is another. What names none is unknown.
func TestReportOfDesks(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	first := mustPutDesk(t, s, "Lyon")
	for i, minutes := range []int{1, 2, 10, 60} {
		receivedAt(t, s, fiction(212, 100+i), "acme", " lyon", clock.now().Add(-time.Duration(minutes)*time.Minute))
	}
	_, err := s.RemoveDesk(context.Background(), first.ID, Request{})
	must(t, err)
	receivedAt(t, s, fiction(212, 110), "acme", "Lyon", clock.now().Add(-time.Second))
	second := mustPutDesk(t, s, "LYON")
	receivedAt(t, s, fiction(212, 111), "acme", "Lyon", clock.now().Add(time.Hour)) // a clock that is ahead
	optOut(t, s, fiction(212, 112), "")
	rows := make([]RecordRow, 3)
	for i := range rows {
		rows[i] = row(fiction(212, 120+i), "acme", policy.ChannelWeb, clock.now().Add(-time.Duration(i+1)*24*time.Hour))
		rows[i].Story.Desk = "Lyon"
	}
	rows[2].ExpiresAt = day(9)
	recordAll(t, s, rows)
	_, err = s.WithdrawOptOut(context.Background(), fiction(212, 112), "", Request{})
	must(t, err)
	clock.set(day(10))

	r, words := report(t, s, ReportQuery{})
	if r.OptOuts != 10 || r.Imported != 3 || r.Expired != 1 || r.Withdrawals != 1 {
		t.Errorf("got %d opt-outs, %d imported, %d expired, %d withdrawals; want 10, 3, 1, 1", r.OptOuts, r.Imported, r.Expired, r.Withdrawals)
	}
	phoned, web := policy.ChannelCall, policy.ChannelWeb
	wantLines(t, words, map[string]string{
		fmt.Sprint("Lyon ", first.ID.Revision, " ", phoned, " false"):  "4: 4 in 2m0s 1h0m0s 1h0m0s",
		fmt.Sprint("LYON ", second.ID.Revision, " ", phoned, " false"): "1: 1 in 0s 0s 0s",
		fmt.Sprint("LYON ", second.ID.Revision, " ", web, " true"):     "3: 3 in 48h0m0s 72h0m0s 72h0m0s",
		fmt.Sprint("unknown ", phoned, " false"):                       "1: 1 in 1s 1s 1s",
		fmt.Sprint("unknown ", policy.Channel(0), " false"):            "1: 0 in 0s 0s 0s",
	})
	if len(r.Desks) != 5 || r.Desks[0].OptOuts != 4 {
		t.Errorf("got %d lines, the first of %d; want 5, the most first", len(r.Desks), r.Desks[0].OptOuts)
	}
}

// Each stage includes those before it, whenever its acknowledgement came; what is pending is counted with its age.
func TestReportOfSubscribers(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	a := mustPut(t, s, "a", atScopes("acme"))
	dead := mustPut(t, s, "dead", atScopes("acme/telecom"))
	gone := mustPut(t, s, "gone", nothing)
	optOut(t, s, fiction(212, 100), "other")
	one := optOut(t, s, fiction(212, 101), "acme/telecom").ID.Revision
	clock.advance(time.Minute)
	mustClaim(t, s, "a", feed.Received, one)
	two := optOut(t, s, fiction(212, 102), "").ID.Revision
	recordAll(t, s, []RecordRow{
		row(fiction(212, 103), "acme/energy", policy.ChannelWeb, day(1)), row(fiction(212, 104), "acme", policy.ChannelWeb, day(1)),
	})
	clock.advance(time.Hour)
	mustClaim(t, s, "a", feed.Durable, two)
	clock.advance(time.Hour)
	_, err := s.RemoveSubscriber(context.Background(), gone.ID, Request{})
	must(t, err)
	again := mustPut(t, s, "gone", nothing)
	optOut(t, s, fiction(212, 105), "acme")
	clock.set(day(10)) // a day behind the deadlines
	mustClaim(t, s, "a", feed.Applied, s.View().Revision())
	mustClaim(t, s, "a", feed.Received, one) // older: it adds nothing

	_, words := report(t, s, ReportQuery{})
	id := func(sub *Subscriber) string { return fmt.Sprint(sub.Name, " ", sub.ID.Revision, " ") }
	late := 48*time.Hour - time.Minute // it shares a bucket with 48 hours
	wantLines(t, words, map[string]string{
		id(a) + "received":          "3 in 1h0m0s 45h59m0s 45h59m0s, claimed 3, pending 0 since -, late 1",
		id(a) + "durable":           "3 in 1h1m0s 45h59m0s 45h59m0s, claimed 3, pending 0 since -, late 1",
		id(a) + "applied":           "3 in 48h0m0s 48h0m0s 48h0m0s, claimed 3, pending 0 since -, late 3",
		id(a) + "received imported": "2 in " + late.String() + " " + late.String() + " " + late.String() + ", claimed 2, pending 0 since -, late 2",
		id(dead) + "applied":        "0 in 0s 0s 0s, claimed 0, pending 3 since 08T00:00, late 3",
		id(dead) + "received":       "0 in 0s 0s 0s, claimed 0, pending 3 since 08T00:00, late 3",
		// It has not been late: it was removed after two hours.
		id(gone) + "received":          "0 in 0s 0s 0s, claimed 0, pending 3 since 08T00:00, late 0",
		id(gone) + "received imported": "0 in 0s 0s 0s, claimed 0, pending 2 since 08T00:01, late 0",
		// What was recorded before it was registered came with its snapshot.
		id(again) + "received": "0 in 0s 0s 0s, claimed 0, pending 1 since 08T02:01, late 1",
	})
}

// An objection concerns a subscriber by the filter, and must reach it by the deadline, that it had when the objection was recorded.
func TestReportTakesFiltersOfTheTime(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	sub := mustPut(t, s, "a", atScopes("acme"))
	optOut(t, s, fiction(212, 100), "acme")
	optOut(t, s, fiction(212, 101), "other")
	clock.advance(time.Hour)
	mustPut(t, s, "a", func(set *SubscriberSettings) { set.Filter.Scopes, set.Deadline = []policy.Scope{"other"}, time.Minute })
	optOut(t, s, fiction(212, 102), "acme")
	optOut(t, s, fiction(212, 103), "other")
	clock.advance(time.Hour)
	mustClaim(t, s, "a", feed.Applied, s.View().Revision())
	_, words := report(t, s, ReportQuery{})
	wantLines(t, words, map[string]string{
		// What the second filter left out before it was acknowledged never was.
		fmt.Sprint("a ", sub.ID.Revision, " applied"): "1 in 1h0m0s 1h0m0s 1h0m0s, claimed 1, pending 1 since 08T00:00, late 1",
	})
}

// A signature proves, a claim does not.
func TestReportCountsClaims(t *testing.T) {
	t.Parallel()
	s := openAt(t, t.TempDir(), clockAt(day(8)))
	key := signer(t, s, "a")
	at := optOut(t, s, fiction(212, 100), "acme").ID.Revision
	_, err := acknowledgeNote(s, "a", signed(t, key, checkpointAt(t, s, "a", at), feed.Applied))
	must(t, err)
	r, _ := report(t, s, ReportQuery{})
	if got := r.Subscribers[0].Single.Of(feed.Applied); got.Acknowledged.Count() != 1 || got.Claimed != 0 {
		t.Errorf("got %s, want one that is not claimed", inStage(got))
	}
}

// The first moment of a period belongs to it, the first moment after it does not. Subscribers of the period are in it, also
// without an objection.
func TestReportOfAPeriod(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(8))
	s := openAt(t, t.TempDir(), clock)
	mustPut(t, s, "a", nothing)
	for i, at := range []time.Time{day(9).Add(-1), day(9), day(10).Add(-1), day(10)} {
		clock.set(at)
		optOut(t, s, fiction(212, 100+i), "")
	}
	mustPut(t, s, "later", nothing)
	for _, c := range []struct {
		q    ReportQuery
		want uint64
	}{
		{ReportQuery{}, 4},
		{ReportQuery{From: day(9), To: day(10)}, 2},
		{ReportQuery{From: day(9)}, 3},
		{ReportQuery{To: day(9)}, 1},
		{ReportQuery{From: day(20), To: day(21)}, 0},
		{ReportQuery{From: day(1), To: day(2)}, 0},
	} {
		r, _ := report(t, s, c.q)
		if r.OptOuts != c.want {
			t.Errorf("from %v to %v: got %d, want %d", c.q.From, c.q.To, r.OptOuts, c.want)
		}
	}
	r, _ := report(t, s, ReportQuery{From: day(9).Add(time.Hour), To: day(9).Add(2 * time.Hour)})
	if len(r.Subscribers) != 1 || r.Subscribers[0].Name != "a" || r.OptOuts != 0 {
		t.Errorf("got %d subscribers and %d opt-outs, want a alone and none", len(r.Subscribers), r.OptOuts)
	}
}

// A report can be cancelled, and says how far it is.
func TestReportIsCancelled(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for i := range 5 {
		optOut(t, s, fiction(212, 100+i), "")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var read, total uint64
	_, err := s.View().Propagation(ctx, ReportQuery{}, func(r, of uint64) {
		if read, total = r, of; r == 2 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || read != 2 || total != 5 {
		t.Errorf("got %v at %d of %d, want it cancelled at 2 of 5", err, read, total)
	}
}

// Quantiles are lengths that occurred, not shorter than the exact ones and at most 1/128 longer, in bounded room.
func TestSpreadIsClose(t *testing.T) {
	t.Parallel()
	var s Spread
	const n = 100_000
	for i := range n {
		s.add(time.Duration(i)*37*time.Millisecond+time.Duration(i), 1)
	}
	exact := func(share float64) time.Duration {
		i := int(share*n+0.5) - 1
		return time.Duration(i)*37*time.Millisecond + time.Duration(i)
	}
	for _, share := range []float64{0.01, 0.5, 0.95, 0.99} {
		if got, want := s.Quantile(share), exact(share); got < want || got > want+want/128 {
			t.Errorf("%v: got %v, want %v or at most 1/128 more", share, got, want)
		}
	}
	if got, want := s.Quantile(1), exact(1); got != want || s.Count() != n {
		t.Errorf("got %v of %d, want %v of %d", got, s.Count(), want, n)
	}
	if len(s.buckets) > 64*128 {
		t.Errorf("got %d buckets", len(s.buckets))
	}
	if got := new(Spread).Quantile(0.5); got != 0 {
		t.Errorf("of none: got %v", got)
	}
}
