package store

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/state"
)

// follower holds what a subscriber holds that applies its feed.
type follower struct {
	q     FeedQuery
	feed  *Feed // nil: not connected
	rows  map[rowKey]time.Time
	lists map[policy.EventID]*followedList
	log   []feed.Change // since the follower began
	begun FeedCursor
}

type rowKey struct {
	number phone.Number
	scope  policy.Scope
}

type followedList struct {
	numbers map[uint64]bool
	doubt   bool
}

// apply applies a change as docs/subscribers.md tells a subscriber to. It returns what is wrong with it.
func (f *follower) apply(c *FeedChange) error {
	if c.Rows == nil {
		f.log = append(f.log, c.Change)
	}
	l := f.lists[c.List]
	if l == nil && c.List.Revision > 0 {
		l = &followedList{numbers: map[uint64]bool{}}
		f.lists[c.List] = l
	}
	switch {
	case c.Rows != nil:
		numbers, err := ascending.Decode(nil, c.Rows.Ascending)
		if err != nil || len(numbers) != c.Rows.Numbers {
			return fmt.Errorf("%d numbers where %d are said: %w", len(numbers), c.Rows.Numbers, err)
		}
		for _, n := range numbers {
			if l.numbers[n] = true; c.Rows.Removed {
				delete(l.numbers, n)
			}
		}
	case c.Kind == feed.Set:
		f.rows[rowKey{c.Number, c.Scope}] = c.Until
	case c.Kind == feed.Remove:
		delete(f.rows, rowKey{c.Number, c.Scope})
	case c.Kind == feed.ListSet:
		l.doubt = false
		if sorted := slices.Sorted(maps.Keys(l.numbers)); uint64(len(sorted)) != c.Numbers || hashOf(sorted) != c.SHA256 {
			return fmt.Errorf("holds %d numbers of a list that has %d, or others", len(sorted), c.Numbers)
		}
	case c.Kind == feed.ListGone:
		delete(f.lists, c.List)
	case c.Kind == feed.ListDoubt:
		l.doubt = true
	default:
		return fmt.Errorf("a change of kind %v", c.Kind)
	}
	return nil
}

// feedModel drives a store, and followers of it.
type feedModel struct {
	t         *testing.T
	dir       string
	clock     *testClock
	s         *Store
	lists     []policy.EventID
	followers []*follower
}

// What a follower holds that applies its feed is what the view at its cursor says, wherever it stops and continues, and its log
// is that which the journal gives.
func TestFollowersHoldWhatTheStoreHolds(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	modelChecks()
	rapid.Check(t, func(r *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		must(t, err)
		m := &feedModel{t: t, dir: dir, clock: clockAt(day(8))}
		m.s = openAt(t, dir, m.clock)
		defer m.end(r)
		r.Repeat(map[string]func(*rapid.T){
			"opt out":  m.optOut,
			"opt out2": m.optOut,
			"rows":     m.rows,
			"withdraw": m.withdraw,
			"create":   m.create,
			"load":     m.load,
			"load2":    m.load,
			"revert":   m.revert,
			"delete":   m.delete,
			"unload":   m.unload,
			"clock":    func(r *rapid.T) { m.clock.advance(time.Hour * time.Duration(rapid.IntRange(1, 40).Draw(r, "hours"))) },
			"reopen":   m.reopen,
			"follow":   m.follow,
			"read":     m.read,
			"read2":    m.read,
			"stop":     m.stop,
		})
	})
}

// end has every follower read to the end.
func (m *feedModel) end(r *rapid.T) {
	for _, f := range m.followers {
		for m.readOne(r, f, 1<<16) {
		}
		m.disconnect(f)
	}
	closeStore(m.t, m.s)
	if found, err := Fsck(context.Background(), m.dir, testOptions()); err != nil || !found.OK() {
		m.t.Errorf("fsck: %v, %v", found.Problems, err)
	}
	os.RemoveAll(m.dir)
}

func (m *feedModel) drawOptOut(r *rapid.T) OptOut {
	o := OptOut{Number: drawNumber(r), Scope: drawFeedScope(r)}
	if hours := rapid.SampledFrom([]int{0, 0, -1, 1, 30, 100}).Draw(r, "ends in hours"); hours != 0 {
		o.ExpiresAt = m.clock.now().Add(time.Duration(hours) * time.Hour)
	}
	return o
}

var feedScopes = []policy.Scope{"", "acme", "acme/telecom", "acme/telecom/winter", "acme/bank", "acmeco", "other/a"}

func drawFeedScope(r *rapid.T) policy.Scope { return rapid.SampledFrom(feedScopes).Draw(r, "scope") }

func (m *feedModel) optOut(r *rapid.T) {
	_, err := m.s.RecordOptOut(context.Background(), m.drawOptOut(r), Request{})
	must(m.t, err)
}

func (m *feedModel) rows(r *rapid.T) {
	var rows []RecordRow
	for range rapid.IntRange(1, 8).Draw(r, "rows") {
		rows = append(rows, RecordRow{OptOut: m.drawOptOut(r)})
	}
	recordAll(m.t, m.s, rows)
}

func (m *feedModel) withdraw(r *rapid.T) {
	n, scope := drawNumber(r), drawFeedScope(r)
	rows, err := m.s.View().FeedRowsOf(n, feed.Filter{})
	must(m.t, err)
	if len(rows) > 0 {
		scope = rapid.SampledFrom(rows).Draw(r, "row").Scope
	}
	_, _ = m.s.WithdrawOptOut(context.Background(), n, scope, Request{}) // there may be nothing
}

func (m *feedModel) create(r *rapid.T) {
	if len(m.lists) < 4 {
		name := fmt.Sprintf("list-%d", m.s.View().Revision())
		m.lists = append(m.lists, createList(m.t, m.s, name, Settings{Kind: policy.ListSuppression, Scope: drawFeedScope(r)}).ID)
	}
}

// drawList is a list that exists; nil: there is none.
func (m *feedModel) drawList(r *rapid.T) *List {
	if all := m.s.View().Lists(); len(all) > 0 {
		return rapid.SampledFrom(all).Draw(r, "list")
	}
	return nil
}

func (m *feedModel) load(r *rapid.T) {
	l := m.drawList(r)
	if l == nil {
		return
	}
	from := rapid.IntRange(0, 5000).Draw(r, "from")
	most := rapid.SampledFrom([]int{10, 10, 100, 20_000}).Draw(r, "most")
	numbers := registryNumbers(30_000)[from : from+rapid.IntRange(1, most).Draw(r, "numbers")]
	load(m.t, m.s, l.Name, rapid.SampledFrom([]Mode{Replace, Replace, Add}).Draw(r, "mode"), numbers, Commit{SnapshotDate: 1})
}

func (m *feedModel) revert(r *rapid.T) {
	if l := m.drawList(r); l != nil {
		h := header(l.Name, Revert)
		h.Override = true
		_, _ = m.s.Revert(context.Background(), h, silent) // there may be nothing to go back to
	}
}

func (m *feedModel) delete(r *rapid.T) {
	if l := m.drawList(r); l != nil && rapid.IntRange(0, 2).Draw(r, "delete") == 0 {
		_, err := m.s.DeleteList(context.Background(), l.ID, Request{Confirmed: true})
		must(m.t, err)
	}
}

func (m *feedModel) unload(r *rapid.T) {
	if l := m.drawList(r); l != nil && l.Loaded {
		unload(m.t, m.s, l.Name)
	}
}

func (m *feedModel) reopen(*rapid.T) {
	for _, f := range m.followers {
		m.disconnect(f)
	}
	closeStore(m.t, m.s)
	m.s = openAt(m.t, m.dir, m.clock)
}

// follow begins a follower, with a snapshot of the newest view.
func (m *feedModel) follow(r *rapid.T) {
	if len(m.followers) == 4 {
		return
	}
	v := m.s.View()
	f := &follower{rows: map[rowKey]time.Time{}, lists: map[policy.EventID]*followedList{}}
	f.q.Filter.Scopes = rapid.SliceOfNDistinct(rapid.SampledFrom(feedScopes[1:]), 0, 3, rapid.ID[policy.Scope]).Draw(r, "scopes")
	if len(m.lists) > 0 {
		f.q.Filter.Lists = rapid.SliceOfNDistinct(rapid.SampledFrom(m.lists), 0, 3, rapid.ID[policy.EventID]).Draw(r, "lists")
	}
	f.q.Subscriber = rapid.SampledFrom([]policy.EventID{{}, {Revision: 1}, {Revision: 7, Index: 3}}).Draw(r, "subscriber")
	f.q.After.Revision = v.Revision()
	f.begun = f.q.After
	for row, err := range v.FeedRows(context.Background(), f.q.Filter) {
		must(m.t, err)
		f.rows[rowKey{row.Number, row.Scope}] = row.Until
	}
	for _, id := range f.q.Filter.Lists {
		if l := v.listByID(id); l != nil {
			f.lists[id] = &followedList{numbers: numbersOf(m.t, v, l), doubt: !l.Loaded}
		}
	}
	m.followers = append(m.followers, f)
}

func numbersOf(t *testing.T, v *View, l *List) map[uint64]bool {
	held := map[uint64]bool{}
	if l.ContentRevision == 0 {
		return held
	}
	for _, n := range exportList(t, v, l) {
		held[n] = true
	}
	return held
}

func (m *feedModel) drawFollower(r *rapid.T) *follower {
	if len(m.followers) == 0 {
		return nil
	}
	return rapid.SampledFrom(m.followers).Draw(r, "follower")
}

func (m *feedModel) disconnect(f *follower) {
	if f.feed != nil {
		f.feed.Close()
		f.feed = nil
	}
}

func (m *feedModel) stop(r *rapid.T) {
	if f := m.drawFollower(r); f != nil {
		m.disconnect(f)
	}
}

func (m *feedModel) read(r *rapid.T) {
	f := m.drawFollower(r)
	if f == nil {
		return
	}
	m.readOne(r, f, rapid.SampledFrom([]int{1, 1, 100, 1000, 30_000, 1 << 20}).Draw(r, "bytes"))
}

// readOne has a follower read one batch, and compares what it holds with the view at its cursor.
func (m *feedModel) readOne(r *rapid.T, f *follower, bytes int) (more bool) {
	if f.feed == nil {
		var err error
		if f.feed, err = m.s.OpenFeed(f.q); err != nil {
			r.Fatal("open:", err)
		}
	}
	b, err := f.feed.Read(context.Background(), bytes)
	if err != nil {
		r.Fatal("read:", err)
	}
	for i := range b.Changes {
		if err := f.apply(&b.Changes[i]); err != nil {
			r.Fatalf("revision %d event %d: %v", b.Changes[i].ID.Revision, b.Changes[i].ID.Index, err)
		}
	}
	f.q.After = b.Cursor
	if !b.More && b.Cursor.Revision != m.s.View().Revision() {
		r.Fatalf("nothing more at %+v, and the newest revision is %d", b.Cursor, m.s.View().Revision())
	}
	if b.Cursor.Part == 0 {
		m.compare(r, f)
	}
	return b.More
}

func (m *feedModel) compare(r *rapid.T, f *follower) {
	v, err := m.s.ViewAt(f.q.After.Revision)
	must(m.t, err)
	m.compareRows(r, v, f)
	for id, l := range f.lists {
		now := v.listByID(id)
		if now == nil || !l.doubt && !maps.Equal(l.numbers, numbersOf(m.t, v, now)) {
			r.Fatalf("revision %d: the follower holds %d numbers of list %v, which has others", v.Revision(), len(l.numbers), id)
		}
	}
	for _, id := range f.q.Filter.Lists {
		if l := v.listByID(id); l != nil && l.Loaded && f.lists[id] == nil {
			r.Fatalf("revision %d: the follower does not hold list %v", v.Revision(), id)
		}
	}
	m.compareLog(r, f)
}

// compareRows compares opt-outs that have not ended.
func (m *feedModel) compareRows(r *rapid.T, v *View, f *follower) {
	held := maps.Clone(f.rows)
	hasEnded := func(_ rowKey, until time.Time) bool { return !until.IsZero() && !v.Time().Before(until) }
	maps.DeleteFunc(held, hasEnded)
	want := map[rowKey]time.Time{}
	for row, err := range v.FeedRows(context.Background(), f.q.Filter) {
		must(m.t, err)
		want[rowKey{row.Number, row.Scope}] = row.Until
	}
	maps.DeleteFunc(want, hasEnded)
	if !maps.Equal(held, want) {
		r.Fatalf("revision %d: the follower of %q holds %v, want %v", v.Revision(), f.q.Filter.Scopes, held, want)
	}
}

// compareLog computes the log of a follower again, from the events of the journal.
func (m *feedModel) compareLog(r *rapid.T, f *follower) {
	n, h := uint64(0), feed.Hash{}
	var want []string
	txn := m.s.db.NewTransactionAt(f.q.After.Revision, false)
	defer txn.Discard()
	for e, err := range journal.Entries(txn, f.begun.Revision+1) {
		must(m.t, err)
		rev, err := e.Decode()
		must(m.t, err)
		for i, event := range rev.GetEvents() {
			id := state.EventID(e.Revision, i)
			text := m.changeText(id, event, f.q.Filter)
			if text == "" {
				continue
			}
			want = append(want, text)
			if f.q.Subscriber.Revision > 0 {
				blind := m.s.secret.Blinder(f.q.Subscriber).Blind(id)
				n, h = n+1, feed.Next(h, feed.Leaf([]byte(text), blind))
			}
		}
	}
	var got []string
	for _, c := range f.log {
		got = append(got, string(c.AppendText(nil)))
	}
	if !slices.Equal(got, want) {
		r.Fatalf("changes:\n%q\nwant:\n%q", got, want)
	}
	if f.q.After.Changes != n || f.q.After.Hash != h {
		r.Fatalf("the log has %d changes and leads to %v, want %d and %v", f.q.After.Changes, f.q.After.Hash, n, h)
	}
	counted, err := m.viewAt(f.q.After.Revision).CountChanges(f.q.Filter, f.begun.Revision)
	if err != nil || counted != uint64(len(want)) {
		r.Fatalf("counted %d changes, %v; want %d", counted, err, len(want))
	}
}

func (m *feedModel) viewAt(revision uint64) *View {
	v, err := m.s.ViewAt(revision)
	must(m.t, err)
	return v
}

// changeText is the line of an event, as it is written down for subscribers; empty: it does not concern the filter.
func (m *feedModel) changeText(id policy.EventID, e *storev1.Event, filter feed.Filter) string {
	ofList := func(kind string, ref *storev1.ListId, rest func(*List) string) string {
		l := m.viewAt(id.Revision).listByID(state.ListID(ref))
		if l == nil {
			l = m.viewAt(id.Revision - 1).listByID(state.ListID(ref))
		}
		if !slices.Contains(filter.Lists, l.ID) {
			return ""
		}
		return fmt.Sprintf("%d.%d\t%s\t%d.%d\t%s%s\n", id.Revision, id.Index, kind, l.ID.Revision, l.ID.Index, l.Name, rest(l))
	}
	none := func(*List) string { return "" }
	switch o, w := e.GetOptOut(), e.GetOptOutWithdrawn(); {
	case o != nil && filter.Concerns(policy.Scope(o.GetScope())):
		until := "-"
		if o.GetExpiresAt() != 0 {
			until = m.untilText(id, o)
		}
		return fmt.Sprintf("%d.%d\tset\t+%d\t%s\t%s\n", id.Revision, id.Index, o.GetNumber(), o.GetScope(), until)
	case w != nil && filter.Concerns(policy.Scope(w.GetScope())):
		return fmt.Sprintf("%d.%d\tremove\t+%d\t%s\n", id.Revision, id.Index, w.GetNumber(), w.GetScope())
	case e.GetLoadSwitched() != nil:
		return ofList("list", e.GetLoadSwitched().GetList(), func(l *List) string {
			return fmt.Sprintf("\t%s\t%d\t%v", l.Scope, l.Numbers, hashOf(exportList(m.t, m.viewAt(id.Revision), l)))
		})
	case e.GetListDeleted() != nil:
		return ofList("gone", e.GetListDeleted().GetList(), none)
	case e.GetListUnloaded() != nil:
		return ofList("doubt", e.GetListUnloaded().GetList(), none)
	}
	return ""
}

// untilText is the latest end at the number and scope of an opt-out after its revision.
func (m *feedModel) untilText(id policy.EventID, o *storev1.OptOut) string {
	latest := state.Time(o.GetExpiresAt())
	set, err := m.viewAt(id.Revision).recordSet(phone.Number(o.GetNumber()))
	must(m.t, err)
	for _, r := range set.GetRecords() {
		switch {
		case r.GetScope() != o.GetScope():
		case r.GetExpiresAt() == 0:
			return "-"
		case state.Time(r.GetExpiresAt()).After(latest):
			latest = state.Time(r.GetExpiresAt())
		}
	}
	return latest.Format(time.RFC3339Nano)
}
