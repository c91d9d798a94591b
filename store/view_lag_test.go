package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
)

// wantLag compares what is pending of a subscriber at a stage, and since when.
func wantLag(t *testing.T, s *Store, name string, stage feed.Stage, pending uint64, oldest time.Time) {
	t.Helper()
	sub := s.View().Subscribers().Named(name)
	lags, err := s.View().Lags([]*Subscriber{sub})
	must(t, err)
	if l := lags[0].Of(stage); l.Pending != pending || !l.Oldest.Equal(oldest) {
		t.Errorf("%s, %v: got %d pending since %v, want %d since %v", name, stage, l.Pending, l.Oldest, pending, oldest)
	}
}

// Pending is what concerns the subscriber and is not acknowledged, and the snapshot of an epoch until anything is.
func TestLagCountsWhatConcernsTheSubscriber(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(1))
	s := openAt(t, t.TempDir(), clock)
	l := createList(t, s, "dnc", Settings{Kind: policy.ListSuppression})
	optOut(t, s, fiction(212, 100), "acme")
	clock.set(day(2))
	mustPut(t, s, "a", func(set *SubscriberSettings) {
		set.Filter = feed.Filter{Scopes: []policy.Scope{"acme"}, Lists: []policy.EventID{l.ID}}
	})
	for stage := feed.Received; stage <= feed.Applied; stage++ {
		wantLag(t, s, "a", stage, 1, day(2)) // the snapshot
	}
	clock.set(day(3))
	one := optOut(t, s, fiction(212, 101), "acme/telecom").ID.Revision
	wantLag(t, s, "a", feed.Applied, 2, day(2))
	mustClaim(t, s, "a", feed.Durable, one)
	wantLag(t, s, "a", feed.Received, 0, time.Time{})
	wantLag(t, s, "a", feed.Durable, 0, time.Time{})
	wantLag(t, s, "a", feed.Applied, 2, day(2))
	mustClaim(t, s, "a", feed.Applied, s.View().Subscribers().Named("a").Epoch)
	wantLag(t, s, "a", feed.Applied, 1, day(3))
	clock.set(day(4))
	optOut(t, s, fiction(212, 102), "other") // does not concern it
	wantLag(t, s, "a", feed.Received, 0, time.Time{})
	clock.set(day(5))
	optOut(t, s, fiction(212, 103), "") // everyone's
	clock.set(day(6))
	load(t, s, "dnc", Replace, digits(fiction(212, 104), fiction(212, 105)), Commit{})
	wantLag(t, s, "a", feed.Received, 2, day(5))
	wantLag(t, s, "a", feed.Applied, 3, day(3))
	sub := s.View().Subscribers().Named("a")
	lags, err := s.View().Lags([]*Subscriber{sub})
	must(t, err)
	if l := lags[0].Of(feed.Applied); l.Late(day(4), 24*time.Hour) || !l.Late(day(4).Add(1), 24*time.Hour) || l.Age(day(2)) != 0 {
		t.Errorf("age at day 4 %v, want it late from a day on", l.Age(day(4)))
	}
	rebase(t, s, "a")
	wantLag(t, s, "a", feed.Applied, 1, day(6))
}

// How far a dead subscriber is behind is known without reading the changes that it missed: here none of them can be read.
func TestLagOfADeadSubscriberReadsNoChange(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(1))
	dir := t.TempDir()
	s := openAt(t, dir, clock)
	mustPut(t, s, "dead", atScopes("acme"))
	mustPut(t, s, "never", atScopes("acme"))
	at := optOut(t, s, fiction(212, 100), "acme").ID.Revision
	mustClaim(t, s, "dead", feed.Applied, at)
	const missed = 300
	clock.set(day(2))
	first := optOut(t, s, fiction(212, 100), "acme/first").ID.Revision
	clock.set(day(3))
	for i := range missed - 1 {
		optOut(t, s, fiction(212+i, 101), policy.Scope(fmt.Sprint("acme/s", i%3)))
	}
	last := optOut(t, s, fiction(212, 102), "other").ID.Revision
	killed := copyOf(t, dir)
	spoilJournal(t, s, first+1, last-1)
	wantLag(t, s, "dead", feed.Applied, missed, day(2))
	wantLag(t, s, "never", feed.Applied, missed+2, day(1))
	if cause := s.State().Cause; cause != nil {
		t.Errorf("it met what cannot be read: %v", cause)
	}
	again := openAt(t, killed, clock)
	wantLag(t, again, "dead", feed.Applied, missed, day(2))
	wantLag(t, again, "never", feed.Applied, missed+2, day(1))
	if read := again.feeds.read.Load(); read != 0 {
		t.Errorf("after a restart feeds have read %d revisions, want none", read)
	}
}

// 1,000 subscribers, of which each is behind at another place, by one filter or by one for each, at one stage or at three.
func BenchmarkLags(b *testing.B) {
	for _, c := range []struct {
		name    string
		filters int
		places  int
	}{{"one filter, the snapshot", 1, 0}, {"1000 filters, the snapshot", 1000, 0}, {"one filter, 3 places", 1, 3}, {"1000 filters, 3 places", 1000, 3}} {
		b.Run(c.name, func(b *testing.B) {
			s := open(b, b.TempDir())
			const subscribers = 1000
			for i := range subscribers {
				if _, err := putSub(s, fmt.Sprint("base-", i), atScopes(policy.Scope(fmt.Sprint("s", i%c.filters)))); err != nil {
					b.Fatal(err)
				}
			}
			for i := range 2 * subscribers {
				optOut(b, s, fiction(212+i%700, i%100), policy.Scope(fmt.Sprint("s", i%c.filters)))
			}
			last := s.View().Revision()
			for i, sub := range s.View().Subscribers().All() {
				for stage := 1; stage <= c.places; stage++ {
					recordAck(b, s, sub.Name, feed.Stage(stage), last-uint64(3*i%900+stage*30))
				}
			}
			v := s.View()
			subs := v.Subscribers().All()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Lags(subs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
