package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	ascendingpkg "github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// base is a calling base that follows a feed and holds every message to what the contract guarantees.
type base struct {
	name   string
	filter *dncv1.FeedFilter // of a feed that is nobody's

	rows       map[rowKey]time.Time // ends; zero: none
	scopes     map[policy.EventID]string
	cursor     *dncv1.FeedCursor
	cursorTime time.Time // of a snapshot's
	hash       feed.Hash
	count      uint64
	last       policy.EventID // the change before
	rowsOf     policy.EventID // the change whose numbers are coming; zero: none
	went       bool           // some of them went
	seen       map[policy.EventID]bool
	notes      []feed.Checkpoint
	keys       []feed.PublicKey
}

type rowKey struct {
	number uint64
	scope  string // of a list empty: see scopes
	list   policy.EventID
}

func newBase(name string, keys ...feed.PublicKey) *base {
	return &base{name: name, rows: map[rowKey]time.Time{}, scopes: map[policy.EventID]string{}, seen: map[policy.EventID]bool{}, keys: keys}
}

func idOf(m *dncv1.EventId) policy.EventID {
	return policy.EventID{Revision: m.GetRevision(), Index: m.GetIndex()}
}

func isBefore(a, b policy.EventID) bool {
	return a.Revision < b.Revision || a.Revision == b.Revision && a.Index < b.Index
}

// take applies a message. Its error says which guarantee it breaks.
func (b *base) take(m *dncv1.WatchResponse) error {
	for _, c := range m.GetChanges() {
		if err := b.change(c); err != nil {
			return err
		}
	}
	return b.arrive(m)
}

// arrive checks the cursor of a message.
func (b *base) arrive(m *dncv1.WatchResponse) error {
	now := m.GetCursor()
	at, part := now.GetPosition().GetRevision(), now.GetPart()
	before := b.cursor
	switch {
	case now == nil:
		return errors.New("bookmarked: a message has no cursor")
	case at < before.GetPosition().GetRevision():
		return fmt.Errorf("ordered: the cursor went back from %d to %d", before.GetPosition().GetRevision(), at)
	case part == 0 && b.last.Revision > at:
		return fmt.Errorf("atomic: a change of revision %d came before the cursor %d", b.last.Revision, at)
	case part == 0 && b.rowsOf != (policy.EventID{}):
		return errors.New("atomic: the cursor lies between two revisions, and numbers of a list came whose change did not")
	case b.name != "" && now.GetChanges() != b.count:
		return fmt.Errorf("reliable: the cursor says %d changes, and %d came", now.GetChanges(), b.count)
	case b.name != "" && !bytes.Equal(now.GetHash(), b.hash[:]):
		return errors.New("reliable: the hash of the log is not that of the changes that came")
	}
	b.cursor = now
	if len(m.GetCheckpoint()) == 0 {
		return nil
	}
	note, _, err := feed.OpenCheckpoint(m.GetCheckpoint(), b.keys...)
	if err != nil {
		return err
	}
	if note.Revision != at || note.Changes != b.count || note.Hash != b.hash || !bytes.Equal(note.Tag[:], now.GetPosition().GetTag()) {
		return fmt.Errorf("the checkpoint %+v is not of its cursor", note)
	}
	b.notes = append(b.notes, note)
	return nil
}

// change applies one change.
func (b *base) change(m *dncv1.FeedChange) error {
	id := idOf(m.GetId())
	if rows := m.GetListRows(); rows != nil {
		return b.listRows(id, rows)
	}
	switch {
	case b.seen[id]:
		return fmt.Errorf("unique: the change %v came twice", id)
	case !isBefore(b.last, id):
		return fmt.Errorf("ordered: %v came after %v", id, b.last)
	case b.rowsOf != (policy.EventID{}) && b.rowsOf != id:
		return fmt.Errorf("ordered: %v came between the numbers of %v and its change", id, b.rowsOf)
	}
	b.seen[id], b.last, b.rowsOf, b.went = true, id, policy.EventID{}, false
	c := b.apply(id, m)
	if b.name != "" {
		b.hash = feed.Next(b.hash, feed.Leaf(c.AppendText(nil), feed.Hash(m.GetBlind())))
		b.count++
	}
	return nil
}

func (b *base) listRows(id policy.EventID, m *dncv1.FeedListRows) error {
	if b.rowsOf != (policy.EventID{}) && b.rowsOf != id || !isBefore(b.last, id) {
		return fmt.Errorf("ordered: numbers of %v came after %v", id, b.last)
	}
	if b.rowsOf != id {
		b.rowsOf, b.went = id, false
	}
	if b.went && !m.GetRemoved() {
		return errors.New("ordered: numbers came after some that went")
	}
	b.went = m.GetRemoved()
	return b.numbers(m)
}

func (b *base) numbers(m *dncv1.FeedListRows) error {
	numbers, err := ascendingpkg.Decode(nil, m.GetAscending())
	if err != nil {
		return err
	}
	for _, n := range numbers {
		key := rowKey{number: n, list: idOf(m.GetList())}
		if m.GetRemoved() {
			delete(b.rows, key)
		} else {
			b.rows[key] = time.Time{}
		}
	}
	return nil
}

// apply changes the rows, and returns the change as it is hashed.
func (b *base) apply(id policy.EventID, m *dncv1.FeedChange) feed.Change {
	c := feed.Change{ID: id}
	list := func(kind feed.Kind, l *dncv1.FeedList) {
		c.Kind, c.List, c.Name, c.Scope, c.Numbers = kind, idOf(l.GetId()), l.GetName(), policy.Scope(l.GetScope()), l.GetNumbers()
		copy(c.SHA256[:], l.GetContentSha256())
	}
	switch change := m.GetChange().(type) {
	case *dncv1.FeedChange_Set:
		s := change.Set
		c.Kind, c.Number, c.Scope, c.Until = feed.Set, phone.Number(s.GetNumber()), policy.Scope(s.GetScope()), endOf(s)
		b.rows[rowKey{number: s.GetNumber(), scope: s.GetScope()}] = c.Until
	case *dncv1.FeedChange_Remove:
		c.Kind, c.Number, c.Scope = feed.Remove, phone.Number(change.Remove.GetNumber()), policy.Scope(change.Remove.GetScope())
		delete(b.rows, rowKey{number: change.Remove.GetNumber(), scope: change.Remove.GetScope()})
	case *dncv1.FeedChange_List:
		list(feed.ListSet, change.List)
		b.scopes[c.List] = string(c.Scope)
	case *dncv1.FeedChange_Moved:
		list(feed.ListMoved, change.Moved)
		b.scopes[c.List] = string(c.Scope)
	case *dncv1.FeedChange_Gone:
		list(feed.ListGone, change.Gone)
		delete(b.scopes, c.List)
		maps.DeleteFunc(b.rows, func(k rowKey, _ time.Time) bool { return k.list == c.List })
	case *dncv1.FeedChange_Doubt:
		list(feed.ListDoubt, change.Doubt)
	}
	return c
}

func endOf(m interface{ GetUntil() *timestamppb.Timestamp }) time.Time {
	if m.GetUntil() == nil {
		return time.Time{}
	}
	return m.GetUntil().AsTime()
}

// inForce are the rows that have not ended at a time.
func (b *base) inForce(at time.Time) map[rowKey]time.Time {
	rows := maps.Clone(b.rows)
	maps.DeleteFunc(rows, func(_ rowKey, end time.Time) bool { return !end.IsZero() && !at.Before(end) })
	return rows
}

// begin reads a snapshot in place of what the base holds.
func (b *base) begin(t testing.TB, client dncv1.PropagationServiceClient) *dncv1.FeedSummary {
	t.Helper()
	header, summary := b.fetch(t, client, b.request(nil))
	b.cursor, b.cursorTime = header.GetCursor(), header.GetTime().AsTime()
	b.count, b.last, b.rowsOf = b.cursor.GetChanges(), policy.EventID{Revision: b.cursor.GetPosition().GetRevision(), Index: 1<<32 - 1}, policy.EventID{}
	copy(b.hash[:], b.cursor.GetHash())
	return summary
}

func (b *base) request(after *dncv1.FeedCursor) *dncv1.GetFeedRequest {
	req := &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Subscriber{Subscriber: b.name}, After: after}
	if b.name == "" {
		req.Feed = &dncv1.GetFeedRequest_Filter{Filter: b.filter}
	}
	return req
}

// fetch reads a feed at one moment into the rows.
func (b *base) fetch(t testing.TB, client dncv1.PropagationServiceClient, req *dncv1.GetFeedRequest) (*dncv1.FeedHeader, *dncv1.FeedSummary) {
	t.Helper()
	stream, err := client.GetFeed(testContext(t), req)
	if err != nil {
		t.Fatal(err)
	}
	var header *dncv1.FeedHeader
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatalf("after the header %v: %v", header, err)
		}
		switch f := m.GetFrame().(type) {
		case *dncv1.GetFeedResponse_Header:
			header = f.Header
			b.startFetch(header)
		case *dncv1.GetFeedResponse_Chunk:
			if err := b.fetched(f.Chunk); err != nil {
				t.Fatal(err)
			}
		case *dncv1.GetFeedResponse_Summary:
			if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
				t.Fatalf("after the summary: %v", err)
			}
			return header, f.Summary
		}
	}
}

func (b *base) startFetch(h *dncv1.FeedHeader) {
	if h.GetAfter() == nil {
		clear(b.rows)
		clear(b.scopes)
	}
	for _, l := range h.GetLists() {
		b.scopes[idOf(l.GetId())] = l.GetScope()
	}
	for _, gone := range h.GetGone() {
		delete(b.scopes, idOf(gone))
		maps.DeleteFunc(b.rows, func(k rowKey, _ time.Time) bool { return k.list == idOf(gone) })
	}
}

func (b *base) fetched(c *dncv1.FeedChunk) error {
	for _, r := range c.GetRows() {
		key := rowKey{number: r.GetNumber(), scope: r.GetScope()}
		if r.GetRemoved() {
			delete(b.rows, key)
		} else {
			b.rows[key] = endOf(r)
		}
	}
	if c.GetListRows() == nil {
		return nil
	}
	return b.numbers(c.GetListRows())
}

// watch follows the stream until the cursor reaches a revision.
func (b *base) watch(t testing.TB, client dncv1.PropagationServiceClient, until uint64) {
	t.Helper()
	if err := b.follow(testContext(t), client, func() bool { return b.cursor.GetPosition().GetRevision() >= until && b.cursor.GetPart() == 0 }); err != nil {
		t.Fatal(err)
	}
}

// follow opens a stream and takes messages until done.
func (b *base) follow(ctx context.Context, client dncv1.PropagationServiceClient, done func() bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := &dncv1.WatchRequest{Feed: &dncv1.WatchRequest_Subscriber{Subscriber: b.name}, After: b.cursor}
	if b.name == "" {
		req.Feed = &dncv1.WatchRequest_Filter{Filter: b.filter}
	}
	stream, err := client.Watch(ctx, req)
	if err != nil {
		return err
	}
	for !done() {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := b.take(m); err != nil {
			return err
		}
	}
	return nil
}

// wantSame compares what the base holds with a snapshot, which must be of its position.
func (b *base) wantSame(t testing.TB, client dncv1.PropagationServiceClient) {
	t.Helper()
	whole := newBase(b.name)
	whole.filter = b.filter
	whole.begin(t, client)
	if got, want := b.cursor.GetPosition(), whole.cursor.GetPosition(); got.GetRevision() != want.GetRevision() || !bytes.Equal(got.GetTag(), want.GetTag()) {
		t.Fatalf("the base is at %v, the snapshot at %v", got, want)
	}
	at := whole.cursorTime
	if b.cursor.GetHash() != nil && !bytes.Equal(b.cursor.GetHash(), whole.cursor.GetHash()) {
		t.Error("the log of the snapshot is another one")
	}
	if want, got := whole.inForce(at), b.inForce(at); !maps.EqualFunc(want, got, time.Time.Equal) { // cmp takes seconds
		t.Errorf("%s holds something else than the snapshot (-want +got):\n%.2000s", b.name, cmp.Diff(want, got, cmp.AllowUnexported(rowKey{})))
	}
	if diff := cmp.Diff(whole.scopes, b.scopes); diff != "" {
		t.Error("scopes of lists (-want +got):", diff)
	}
}
