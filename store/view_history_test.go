package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// TestHistoryReadsOfLargeRevisionsAreBounded: a reading of a history ends early when its events lie in large revisions,
// says that there are more, and the next one goes on behind it.
func TestHistoryReadsOfLargeRevisionsAreBounded(t *testing.T) {
	t.Parallel()
	const groups, each, most = 20, 50, 4 << 10
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	for g := range groups {
		rows := []RecordRow{row(n, policy.Scope(fmt.Sprintf("acme-%d", g)), policy.ChannelCall, day(1))}
		for i := range each - 1 {
			rows = append(rows, row(phone.Number(14160000000+uint64(i)), policy.Scope(fmt.Sprintf("other-%d", g)), policy.ChannelCall, day(1)))
		}
		recordAll(t, s, rows)
	}
	var got []HistoryEvent
	pages := 0
	for after, more := (policy.EventID{}), true; more; pages++ {
		var events []HistoryEvent
		var err error
		if events, more, err = s.View().history(n, after, 1000, most); err != nil || len(events) == 0 {
			t.Fatalf("page %d: got %d events and %v", pages, len(events), err)
		}
		got = append(got, events...)
		after = events[len(events)-1].ID
	}
	if pages < 2 {
		t.Errorf("got %d pages, want more: the revisions are larger than one reading takes", pages)
	}
	if len(got) != groups {
		t.Fatalf("got %d events on %d pages, want %d", len(got), pages, groups)
	}
	for g, e := range got {
		if want := policy.Scope(fmt.Sprintf("acme-%d", g)); e.Scope != want {
			t.Errorf("event %d: got scope %s, want %s", g, e.Scope, want)
		}
	}
}

// TestHistoryOfManyWithdrawals: withdrawals of one revision end what was added before each of them.
func TestHistoryOfManyWithdrawals(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	const rounds = 20
	for i := range rounds {
		scope := policy.Scope(fmt.Sprintf("acme-%d", i%3))
		optOut(t, s, n, scope)
		if _, err := s.WithdrawOptOut(t.Context(), n, scope, Request{}); err != nil {
			t.Fatal(err)
		}
	}
	events, more, err := s.View().History(n, policy.EventID{}, 2*rounds)
	if err != nil || more || len(events) != 2*rounds {
		t.Fatalf("got %d events, more %v, %v; want %d and no more", len(events), more, err, 2*rounds)
	}
	for i := 1; i < len(events); i += 2 {
		if ended := events[i].Ended; len(ended) != 1 || ended[0] != events[i-1].ID {
			t.Errorf("withdrawal %d ended %v, want %v", i, ended, events[i-1].ID)
		}
	}
	if events, more, err := s.View().History(n, policy.EventID{}, 2*rounds-1); err != nil || !more || len(events) != 2*rounds-1 {
		t.Errorf("one less: got %d events, more %v, %v", len(events), more, err)
	}
}

// TestDiskStatsAreKeptForASecond: stats need no room, so what they cost must not grow with how often they are asked for.
func TestDiskStatsAreKeptForASecond(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	s.Stats()
	s.disk.used = 1 // which no directory takes
	if got := s.Stats().DiskBytes; got != 1 {
		t.Errorf("at once: got %d bytes, want what was found before", got)
	}
	s.disk.at = time.Now().Add(-diskAge)
	if got := s.Stats().DiskBytes; got <= 1 {
		t.Errorf("a second later: got %d bytes, want what the directory takes", got)
	}
}
