package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store/internal/keys"
)

func openFeed(t testing.TB, s *Store, q FeedQuery) *Feed {
	t.Helper()
	f, err := s.OpenFeed(q)
	must(t, err)
	t.Cleanup(f.Close)
	return f
}

// readAll reads a feed to the newest revision, in batches of about so many bytes.
func readAll(t testing.TB, f *Feed, maxBytes int) (changes []FeedChange, at FeedCursor) {
	t.Helper()
	for {
		b, err := f.Read(context.Background(), maxBytes)
		must(t, err)
		changes = append(changes, b.Changes...)
		if !b.More {
			if b.Cursor.Revision != b.View.Revision() || b.Cursor.Part != 0 {
				t.Fatalf("the end of a feed is at %+v, want revision %d", b.Cursor, b.View.Revision())
			}
			return changes, b.Cursor
		}
	}
}

func inScopes(scopes ...policy.Scope) feed.Filter { return feed.Filter{Scopes: scopes} }

// textsOf are the lines of changes; of numbers of a list, how many come or go.
func textsOf(changes []FeedChange) (texts []string) {
	for _, c := range changes {
		if c.Rows == nil {
			texts = append(texts, string(c.AppendText(nil)))
			continue
		}
		sign := map[bool]string{false: "+", true: "-"}[c.Rows.Removed]
		texts = append(texts, fmt.Sprintf("%s\t%s%d\t%s\n", feed.FormatEventID(c.ID), sign, c.Rows.Numbers, feed.FormatEventID(c.List)))
	}
	return texts
}

// hashOf is the SHA-256 of ascending numbers, as a load has it.
func hashOf(numbers []uint64) feed.Hash {
	h := ascending.NewHash[uint64]()
	h.Add(numbers)
	return feed.Hash(h.Sum())
}

// A feed says what each kind of event did to what concerns it, and nothing else.
func TestFeedSaysWhatEventsDid(t *testing.T) {
	t.Parallel()
	s := openAt(t, t.TempDir(), clockAt(day(8)))
	ctx, n := context.Background(), fiction(415, 1)
	until := func(d int) OptOut { return OptOut{Number: n, Scope: "acme", ExpiresAt: day(d)} }
	l := createList(t, s, "dnc", Settings{Kind: policy.ListSuppression, Scope: "acme"}) // revision 1
	for _, o := range []OptOut{until(20), until(30), until(25), {Number: n, Scope: "acme"}, until(40), {Number: n, Scope: "other"}, {Number: n}} {
		_, err := s.RecordOptOut(ctx, o, Request{}) // 2 to 8
		must(t, err)
	}
	_, err := s.WithdrawOptOut(ctx, n, "acme", Request{}) // 9
	must(t, err)
	load(t, s, "dnc", Replace, registryNumbers(20_000), Commit{})                         // 10, 11
	load(t, s, "dnc", Replace, registryNumbers(20_001)[10_000:], Commit{})                // 12, 13
	load(t, s, "dnc", Replace, registryNumbers(20_001)[10_000:], Commit{SnapshotDate: 1}) // 14: confirmed
	_, err = s.Revert(ctx, header("dnc", Revert), silent)                                 // 15, 16
	must(t, err)
	unload(t, s, "dnc")                                        // 17
	load(t, s, "dnc", Replace, registryNumbers(10), Commit{})  // 18, 19
	_, err = s.DeleteList(ctx, l.ID, Request{Confirmed: true}) // 20
	must(t, err)
	optOut(t, s, n, "acme/telecom") // 21

	f := openFeed(t, s, FeedQuery{Filter: feed.Filter{Scopes: []policy.Scope{"acme"}, Lists: []policy.EventID{l.ID}}})
	got, _ := readAll(t, f, 1<<20)
	sha := func(numbers []uint64) string { return hashOf(numbers).String() }
	want := []string{
		"2.0\tset\t+14155550101\tacme\t2026-09-20T00:00:00Z\n",
		"3.0\tset\t+14155550101\tacme\t2026-09-30T00:00:00Z\n",
		"4.0\tset\t+14155550101\tacme\t2026-09-30T00:00:00Z\n",
		"5.0\tset\t+14155550101\tacme\t-\n",
		"6.0\tset\t+14155550101\tacme\t-\n",
		"8.0\tset\t+14155550101\t\t-\n",
		"9.0\tremove\t+14155550101\tacme\n",
		"11.0\t+8192\t1.0\n", "11.0\t+8192\t1.0\n", "11.0\t+3616\t1.0\n",
		"11.0\tlist\t1.0\tdnc\tacme\t20000\t" + sha(registryNumbers(20_000)) + "\n",
		"13.0\t+1\t1.0\n", "13.0\t-8192\t1.0\n", "13.0\t-1808\t1.0\n",
		"13.0\tlist\t1.0\tdnc\tacme\t10001\t" + sha(registryNumbers(20_001)[10_000:]) + "\n",
		"16.0\t+8192\t1.0\n", "16.0\t+1808\t1.0\n", "16.0\t-1\t1.0\n",
		"16.0\tlist\t1.0\tdnc\tacme\t20000\t" + sha(registryNumbers(20_000)) + "\n",
		"17.0\tdoubt\t1.0\tdnc\n",
		"19.0\t+10\t1.0\n", "19.0\t-8192\t1.0\n", "19.0\t-8192\t1.0\n", "19.0\t-3606\t1.0\n",
		"19.0\tlist\t1.0\tdnc\tacme\t10\t" + sha(registryNumbers(10)) + "\n",
		"20.0\tgone\t1.0\tdnc\n",
		"21.0\tset\t+14155550101\tacme/telecom\t-\n",
	}
	if diff := cmp.Diff(want, textsOf(got)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

// A commit outside of a filter wakes nobody; one at, above or below a scope of it, or of a list of it, does.
func TestCommitsWakeTheFeedsThatTheyConcern(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	dnc := createList(t, s, "dnc", Settings{Kind: policy.ListSuppression})
	other := createList(t, s, "other", Settings{Kind: policy.ListSuppression})
	filters := map[string]feed.Filter{
		"all":          {},
		"acme":         inScopes("acme"),
		"acme/telecom": inScopes("acme/telecom"),
		"acme-b":       inScopes("acme-b"),
		"list":         {Scopes: []policy.Scope{"nobody"}, Lists: []policy.EventID{dnc.ID}},
	}
	feeds := map[string]*Feed{}
	for name, filter := range filters {
		feeds[name] = openFeed(t, s, FeedQuery{Filter: filter})
	}
	for i, c := range []struct {
		do    func(phone.Number)
		wakes []string
	}{
		{func(n phone.Number) { optOut(t, s, n, "acme") }, []string{"all", "acme", "acme/telecom"}},
		{func(n phone.Number) { optOut(t, s, n, "acme/telecom/winter") }, []string{"all", "acme", "acme/telecom"}},
		{func(n phone.Number) { optOut(t, s, n, "acme/other") }, []string{"all", "acme"}},
		{func(n phone.Number) { optOut(t, s, n, "acme-b") }, []string{"all", "acme-b"}},
		{func(n phone.Number) { optOut(t, s, n, "nobody-else") }, []string{"all"}},
		{func(n phone.Number) { optOut(t, s, n, "") }, []string{"all", "acme", "acme/telecom", "acme-b", "list"}},
		{func(phone.Number) { load(t, s, "dnc", Replace, registryNumbers(3), Commit{}) }, []string{"list"}},
		{func(phone.Number) { load(t, s, "other", Replace, registryNumbers(3), Commit{}) }, nil},
		{func(phone.Number) {
			_, err := s.DeleteList(context.Background(), other.ID, Request{Confirmed: true})
			must(t, err)
		}, nil},
		{func(phone.Number) { createList(t, s, "third", Settings{Kind: policy.ListSuppression}) }, nil},
	} {
		for _, f := range feeds {
			readAll(t, f, 1<<20)
			drain(f)
		}
		c.do(fiction(415, i))
		wakes := map[string]bool{}
		for _, name := range c.wakes {
			wakes[name] = true
		}
		for name, f := range feeds {
			if woken := drain(f); woken != wakes[name] {
				t.Errorf("case %d, feed %s: woken %v, want %v", i, name, woken, wakes[name])
			}
			changes, _ := readAll(t, f, 1<<20)
			if (len(changes) > 0) != wakes[name] {
				t.Errorf("case %d, feed %s: read %q, want some %v", i, name, textsOf(changes), wakes[name])
			}
		}
	}
}

// drain reports whether a feed was woken.
func drain(f *Feed) bool {
	select {
	case <-f.Wake():
		return true
	default:
		return false
	}
}

// A sparse feed that is far behind reads the revisions that concern it, and no others; so does one that has waited.
func TestSparseFeedReadsWhatConcernsIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	const revisions, concern = 400, 10
	for i := range revisions {
		scope := policy.Scope("acme")
		if i%(revisions/concern) == 7 {
			scope = "other/" + policy.Scope([]string{"a", "b"}[i%2])
		}
		optOut(t, s, bulkRows(i, 1)[0].Number, scope)
	}
	closeStore(t, s)
	s = open(t, dir)
	f := openFeed(t, s, FeedQuery{Filter: inScopes("other")})
	changes, at := readAll(t, f, 300)
	if read := s.feeds.read.Load(); len(changes) != concern || read != concern {
		t.Errorf("read %d revisions for %d changes, want %d of both", read, len(changes), concern)
	}
	n, err := s.View().CountChanges(inScopes("other"), 0)
	if err != nil || n != concern {
		t.Errorf("counted %d changes, %v; want %d", n, err, concern)
	}
	next, found, err := s.View().NextChange(inScopes("other"), 100)
	if err != nil || !found || next != 128 {
		t.Errorf("the first revision after 100: %d, %v, %v; want 128", next, found, err)
	}
	for i := range 100 {
		optOut(t, s, fiction(415, i), "acme")
	}
	if changes, end := readAll(t, f, 1<<20); len(changes) > 0 || end.Revision != at.Revision+100 || s.feeds.read.Load() != concern {
		t.Errorf("after what does not concern it: %q up to %+v, %d revisions read", textsOf(changes), end, s.feeds.read.Load())
	}
}

// What is behind the end of its revision is no cursor of the feed, and what is beyond the journal none at all.
func TestFeedRefusesAForeignCursor(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	optOut(t, s, fiction(415, 1), "acme")
	for _, c := range []struct {
		filter feed.Filter
		after  FeedCursor
		want   error
	}{
		{feed.Filter{}, FeedCursor{}, nil},
		{feed.Filter{}, FeedCursor{Revision: 1}, nil},
		{feed.Filter{}, FeedCursor{Part: 1}, ErrFeedCursor},
		{inScopes("other"), FeedCursor{Part: 1}, ErrFeedCursor},
		{feed.Filter{}, FeedCursor{Revision: 1, Part: 1}, ErrFutureRevision},
		{feed.Filter{}, FeedCursor{Revision: 2}, ErrFutureRevision},
		{inScopes(""), FeedCursor{}, feed.ErrFilter},
	} {
		f, err := s.OpenFeed(FeedQuery{Filter: c.filter, After: c.after})
		if err == nil {
			_, err = f.Read(context.Background(), 1000)
			f.Close()
		}
		if !errors.Is(err, c.want) {
			t.Errorf("after %+v: %v, want %v", c.after, err, c.want)
		}
	}
}

// What an earlier build recorded, which counted no changes, is read from the journal; what came since from the index.
func TestFeedOfAnEarlierBuildReadsTheJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := storeWithChanges(t, dir)
	want, _ := readAll(t, openFeed(t, s, FeedQuery{Filter: inScopes("acme/telecom")}), 1<<20)
	edit(t, s, func(txn *badger.Txn) error {
		return errors.Join(deleteAll(txn, keys.KindTopic), deleteAll(txn, keys.KindChange))
	})
	for i := range 3 {
		optOut(t, s, fiction(415, 10+i), "acmeco")
		optOut(t, s, fiction(415, 10+i), "acme")
	}
	closeStore(t, s)
	s = open(t, dir)
	got, _ := readAll(t, openFeed(t, s, FeedQuery{Filter: inScopes("acme/telecom")}), 1<<20)
	if len(got) != len(want)+3 || !cmp.Equal(textsOf(got[:len(want)]), textsOf(want)) {
		t.Errorf("got %q, want %q and three more", textsOf(got), textsOf(want))
	}
	since, read := countOf(t, s, keys.CountedSince()).GetRevision(), s.feeds.read.Load()
	if read != since-1+3 {
		t.Errorf("%d revisions read, want the %d before counting began, and three", read, since-1)
	}
}

// Of a revision with rows of many scopes, a feed carries those of its own; an end at another scope is not theirs.
func TestFeedOfARevisionOfManyScopes(t *testing.T) {
	t.Parallel()
	s := openAt(t, t.TempDir(), clockAt(day(8)))
	ending := func(i int, scope policy.Scope) RecordRow {
		return RecordRow{OptOut: OptOut{Number: fiction(415, i), Scope: scope, ExpiresAt: day(20 + i)}}
	}
	forever := RecordRow{OptOut: OptOut{Number: fiction(415, 1), Scope: "other"}}
	recordAll(t, s, []RecordRow{ending(0, "other"), ending(1, "acme"), forever, ending(2, "acme"), ending(3, "acme/telecom"), ending(4, "other")})
	got, _ := readAll(t, openFeed(t, s, FeedQuery{Filter: inScopes("acme")}), 1<<20)
	want := []string{
		"1.1\tset\t+14155550101\tacme\t2026-09-21T00:00:00Z\n",
		"1.3\tset\t+14155550102\tacme\t2026-09-22T00:00:00Z\n",
		"1.4\tset\t+14155550103\tacme/telecom\t2026-09-23T00:00:00Z\n",
	}
	if diff := cmp.Diff(want, textsOf(got)); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
