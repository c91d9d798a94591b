package client_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	fakeJournal = "d0ca37e4b1f2486d9a05c3e87b6f1234"
	fakeLost    = "aaaa37e4b1f2486d9a05c3e87b6f1234"
)

// feedServer serves the feed of one subscriber from memory, and behaves as a test needs it and as dncd cannot be made to.
type feedServer struct {
	dncv1.UnimplementedPropagationServiceServer

	mu        sync.Mutex
	journal   string
	tag       byte
	epoch     uint64
	revisions []fakeRevision // the first has revision epoch+1
	filter    feed.Hash
	key       feed.SigningKey
	changed   chan struct{} // closed at a commit
	acks      []feed.Acknowledgement
	claims    []*dncv1.ClaimedAcknowledgement
	baseKey   feed.PublicKey

	spoiling sync.Mutex // while cut and mangle are called

	// What a test may set before it connects.
	mangle     func(*dncv1.WatchResponse) []*dncv1.WatchResponse // nil: as it is
	refuse     func(after *dncv1.FeedCursor) error               // nil: as dncd does
	cut        func() error                                      // asked before each message
	feedCut    func(frame int) error                             // asked before each frame of GetFeed
	mangleFeed func(*dncv1.GetFeedResponse)
	refuseBy   error // of acknowledgements
	beat       time.Duration
	inDoubt    map[string]bool

	streams, feeds int
}

// errCleanEnd ends a feed before its summary, as if it were whole.
var errCleanEnd = errors.New("the end")

// fakeRevision is one revision: its changes in messages, and the log after it.
type fakeRevision struct {
	parts [][]*dncv1.FeedChange // all but the last are parts
	n     uint64
	h     feed.Hash
}

var fakeSubscriber = feed.EventID{Revision: 3, Index: 1}

// fakeTime is the time of a revision.
func fakeTime(revision uint64) time.Time {
	return time.Date(2026, 11, 1, 0, 0, int(revision), 0, time.UTC)
}

func serveFeed(t *testing.T, set func(*feedServer)) (*feedServer, string) {
	t.Helper()
	text, _, err := feed.NewKey("dncd-test")
	if err != nil {
		t.Fatal(err)
	}
	s := &feedServer{journal: fakeJournal, epoch: 5, changed: make(chan struct{}), beat: 20 * time.Millisecond, inDoubt: map[string]bool{}}
	s.key, err = feed.ParseSigningKey(text)
	if err != nil {
		t.Fatal(err)
	}
	s.filter = feed.Filter{}.Hash()
	if set != nil {
		set(s)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	dncv1.RegisterPropagationServiceServer(g, s)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l)
	}()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return s, l.Addr().String()
}

// commit adds a revision with these changes. More than one group makes parts.
func (s *feedServer) commit(parts ...[]*dncv1.FeedChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := fakeRevision{parts: parts}
	r.n, r.h = s.log(s.tip())
	index := uint32(0)
	for _, c := range slices.Concat(parts...) {
		c.Id = &dncv1.EventId{Revision: s.tip() + 1, Index: index}
		c.Time = timestamppb.New(fakeTime(s.tip() + 1))
		if c.GetListRows() != nil {
			continue
		}
		index++
		blind := feed.Blind([]byte("secret"), fakeSubscriber, feed.EventID{Revision: c.Id.Revision, Index: c.Id.Index})
		c.Blind = blind[:]
		leaf, err := client.LeafOf(c)
		if err != nil {
			panic(err)
		}
		r.h, r.n = feed.Next(r.h, leaf), r.n+1
	}
	s.revisions = append(s.revisions, r)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *feedServer) tip() uint64 { return s.epoch + uint64(len(s.revisions)) }

// log is n and h(n) at a revision.
func (s *feedServer) log(revision uint64) (uint64, feed.Hash) {
	if revision == s.epoch {
		return 0, feed.Hash{byte(s.epoch), 1}
	}
	r := s.revisions[revision-s.epoch-1]
	return r.n, r.h
}

func (s *feedServer) cursor(revision uint64, part int) *dncv1.FeedCursor {
	if part > 0 {
		revision-- // the one that was read whole: the next one's changes come with the last part
	}
	c := &dncv1.FeedCursor{
		Position: &dncv1.Position{Revision: revision, JournalId: s.journal, Tag: []byte{s.tag, 0, 0, 0, 0, 0, 0, byte(revision)}},
		Part:     uint32(part), Epoch: s.epoch, Mac: []byte("mac"),
	}
	n, h := s.log(revision)
	c.Changes, c.Hash = n, h[:]
	return c
}

// checkpoint is the note of a cursor.
func (s *feedServer) checkpoint(c *dncv1.FeedCursor) []byte {
	msg, err := feed.Checkpoint{
		Journal: c.GetPosition().GetJournalId(), Subscriber: fakeSubscriber, Epoch: c.GetEpoch(), Revision: c.GetPosition().GetRevision(),
		Tag: feed.Tag(c.GetPosition().GetTag()), Changes: c.GetChanges(), Hash: feed.Hash(c.GetHash()), Filter: s.filter, Time: fakeTime(c.GetPosition().GetRevision()),
	}.Sign(s.key)
	if err != nil {
		panic(err)
	}
	return msg
}

func (s *feedServer) serverKey() *dncv1.ServerKey {
	m := &dncv1.ServerKey{PublicKey: s.key.Public().Text()}
	for _, note := range s.key.Rotations {
		m.Rotations = append(m.Rotations, []byte(note))
	}
	return m
}

func refused(code codes.Code, reason string) error {
	st, err := status.New(code, "refused by the test").WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "dncd"})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

// Watch sends a message for each part, and cursors in between.
func (s *feedServer) Watch(req *dncv1.WatchRequest, stream grpc.ServerStreamingServer[dncv1.WatchResponse]) error {
	s.mu.Lock()
	s.streams++
	at := req.GetAfter()
	if at == nil {
		at = s.cursor(s.tip(), 0)
	}
	err := s.check(at)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	beat := time.NewTimer(0)
	for {
		s.mu.Lock()
		m, changed := s.next(at), s.changed
		s.mu.Unlock()
		if m == nil {
			select {
			case <-changed:
				continue
			case <-beat.C:
				m = &dncv1.WatchResponse{Cursor: at}
			case <-stream.Context().Done():
				return stream.Context().Err()
			}
		}
		beat.Reset(s.beat)
		at = m.GetCursor()
		if err := s.send(stream, m); err != nil {
			return err
		}
	}
}

func (s *feedServer) send(stream grpc.ServerStreamingServer[dncv1.WatchResponse], m *dncv1.WatchResponse) error {
	out, err := s.spoil(m)
	if err != nil {
		return err
	}
	for _, m := range out {
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return nil
}

// spoil does to a message what the test set. A stream may end while the next one has begun: it is done for one message at a time.
func (s *feedServer) spoil(m *dncv1.WatchResponse) ([]*dncv1.WatchResponse, error) {
	s.spoiling.Lock()
	defer s.spoiling.Unlock()
	if s.cut != nil {
		if err := s.cut(); err != nil {
			return nil, err
		}
	}
	if s.mangle != nil {
		return s.mangle(proto.Clone(m).(*dncv1.WatchResponse)), nil
	}
	return []*dncv1.WatchResponse{m}, nil
}

func (s *feedServer) check(at *dncv1.FeedCursor) error {
	switch p := at.GetPosition(); {
	case s.refuse != nil:
		return s.refuse(at)
	case p.GetJournalId() != s.journal:
		return refused(codes.FailedPrecondition, "JOURNAL_CHANGED")
	case p.GetRevision() > s.tip() || len(p.GetTag()) > 0 && p.GetTag()[0] != s.tag:
		return refused(codes.FailedPrecondition, "JOURNAL_FORKED")
	case at.GetEpoch() != s.epoch:
		return refused(codes.FailedPrecondition, "FILTER_CHANGED")
	}
	return nil
}

// next is the message after a cursor; nil: there is none.
func (s *feedServer) next(at *dncv1.FeedCursor) *dncv1.WatchResponse {
	revision, part := at.GetPosition().GetRevision(), int(at.GetPart())
	revision++
	if revision > s.tip() || revision <= s.epoch { // the latter: the server lost its data while the stream was open
		return nil
	}
	r := s.revisions[revision-s.epoch-1]
	m := &dncv1.WatchResponse{Changes: r.parts[part]}
	if part++; part == len(r.parts) {
		part = 0
	}
	m.Cursor = s.cursor(revision, part)
	if part == 0 {
		m.Checkpoint, m.ServerKey = s.checkpoint(m.GetCursor()), s.serverKey()
	}
	return m
}

// fakeContent is what a server holds at a revision.
type fakeContent struct {
	rows  map[client.Row]bool
	lists map[string]*dncv1.FeedList
}

// content replays the changes up to a revision.
func (s *feedServer) content(revision uint64) fakeContent {
	c := fakeContent{map[client.Row]bool{}, map[string]*dncv1.FeedList{}}
	for _, r := range s.revisions[:revision-s.epoch] {
		for _, change := range slices.Concat(r.parts...) {
			c.take(change)
		}
	}
	return c
}

func (c fakeContent) drop(is func(client.Row) bool) {
	for r := range c.rows {
		if is(r) {
			delete(c.rows, r)
		}
	}
}

func (c fakeContent) take(m *dncv1.FeedChange) {
	id := func(l *dncv1.EventId) string { return fmt.Sprintf("%d.%d", l.GetRevision(), l.GetIndex()) }
	switch k := m.GetChange().(type) {
	case *dncv1.FeedChange_Set:
		c.drop(func(r client.Row) bool {
			return r.Number == k.Set.GetNumber() && r.Scope == k.Set.GetScope() && r.Source == "opt-out"
		})
		row := client.Row{Number: k.Set.GetNumber(), Scope: k.Set.GetScope(), Source: "opt-out"}
		if k.Set.GetUntil() != nil {
			row.Until = k.Set.GetUntil().AsTime()
		}
		c.rows[row] = true
	case *dncv1.FeedChange_Remove:
		c.drop(func(r client.Row) bool {
			return r.Number == k.Remove.GetNumber() && r.Scope == k.Remove.GetScope() && r.Source == "opt-out"
		})
	case *dncv1.FeedChange_ListRows:
		numbers, _ := ascending.Decode(nil, k.ListRows.GetAscending())
		for _, n := range numbers {
			row := client.Row{Number: n, Scope: c.lists[id(k.ListRows.GetList())].GetScope(), Source: id(k.ListRows.GetList())}
			if delete(c.rows, row); !k.ListRows.GetRemoved() {
				c.rows[row] = true
			}
		}
	case *dncv1.FeedChange_List:
		c.list(id(k.List.GetId()), k.List)
	case *dncv1.FeedChange_Moved:
		c.list(id(k.Moved.GetId()), k.Moved)
	case *dncv1.FeedChange_Gone:
		delete(c.lists, id(k.Gone.GetId()))
		c.drop(func(r client.Row) bool { return r.Source == id(k.Gone.GetId()) })
	case *dncv1.FeedChange_Doubt:
		c.drop(func(r client.Row) bool { return r.Source == id(k.Doubt.GetId()) })
	}
}

func (c fakeContent) list(id string, l *dncv1.FeedList) {
	c.lists[id] = l
	for r := range c.rows {
		if r.Source == id && r.Scope != l.GetScope() {
			delete(c.rows, r)
			r.Scope = l.GetScope()
			c.rows[r] = true
		}
	}
}

// sorted are the rows in order.
func (c fakeContent) sorted() []client.Row {
	rows := make([]client.Row, 0, len(c.rows))
	for r := range c.rows {
		rows = append(rows, r)
	}
	slices.SortFunc(rows, client.Row.Compare)
	return rows
}

// rowsAt is what a base should hold at a revision.
func (s *feedServer) rowsAt(revision uint64) []client.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.content(revision).sorted()
}

// GetFeed sends a snapshot, a row a chunk.
func (s *feedServer) GetFeed(req *dncv1.GetFeedRequest, stream grpc.ServerStreamingServer[dncv1.GetFeedResponse]) error {
	s.mu.Lock()
	s.feeds++
	content, cursor := s.content(s.tip()), s.cursor(s.tip(), 0)
	s.mu.Unlock()
	header := &dncv1.FeedHeader{Cursor: cursor, Time: timestamppb.New(fakeTime(cursor.GetPosition().GetRevision()))}
	for id, l := range content.lists {
		if s.inDoubt[id] {
			header.InDoubt = append(header.InDoubt, l.GetId())
		}
		l = proto.Clone(l).(*dncv1.FeedList)
		l.Numbers, l.ContentSha256 = 0, nil
		for r := range content.rows {
			if r.Source == id {
				l.Numbers++
			}
		}
		header.Lists = append(header.Lists, l)
	}
	frames := []*dncv1.GetFeedResponse{{Frame: &dncv1.GetFeedResponse_Header{Header: header}}}
	sum := &dncv1.FeedSummary{Checkpoint: s.checkpoint(cursor), ServerKey: s.serverKey()}
	rows := content.sorted()
	slices.SortStableFunc(rows, func(a, b client.Row) int { return -cmp.Compare(a.Source, b.Source) }) // opt-outs first
	for _, r := range rows {
		chunk := new(dncv1.FeedChunk)
		if r.Source == "opt-out" {
			row := &dncv1.FeedRow{Number: r.Number, Scope: r.Scope}
			if !r.Until.IsZero() {
				row.Until = timestamppb.New(r.Until)
			}
			chunk.Rows = []*dncv1.FeedRow{row}
			sum.Set++
		} else {
			id, err := feed.ParseEventID(r.Source)
			if err != nil {
				return err
			}
			chunk.ListRows = &dncv1.FeedListRows{List: &dncv1.EventId{Revision: id.Revision, Index: id.Index}, Ascending: ascending.Append(nil, 0, r.Number)}
			sum.ListAdded++
		}
		frames = append(frames, &dncv1.GetFeedResponse{Frame: &dncv1.GetFeedResponse_Chunk{Chunk: chunk}})
	}
	frames = append(frames, &dncv1.GetFeedResponse{Frame: &dncv1.GetFeedResponse_Summary{Summary: sum}})
	for i, frame := range frames {
		if s.feedCut != nil {
			if err := s.feedCut(i); errors.Is(err, errCleanEnd) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if s.mangleFeed != nil {
			s.mangleFeed(frame)
		}
		if err := stream.Send(frame); err != nil {
			return err
		}
	}
	return nil
}

// Acknowledge keeps what it is sent.
func (s *feedServer) Acknowledge(_ context.Context, req *dncv1.AcknowledgeRequest) (*dncv1.AcknowledgeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuseBy != nil {
		return nil, s.refuseBy
	}
	if req.GetClaim() != nil {
		s.claims = append(s.claims, req.GetClaim())
		return &dncv1.AcknowledgeResponse{Recorded: true}, nil
	}
	a, _, err := feed.OpenAcknowledgement(req.GetNote(), s.baseKey)
	if err != nil {
		return nil, err
	}
	s.acks = append(s.acks, a)
	return &dncv1.AcknowledgeResponse{Recorded: true}, nil
}

func (s *feedServer) acknowledged() []feed.Acknowledgement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.acks)
}

// Changes.

func rowSet(number uint64, scope string) *dncv1.FeedChange {
	return &dncv1.FeedChange{Change: &dncv1.FeedChange_Set{Set: &dncv1.FeedSet{Number: number, Scope: scope}}}
}

func rowSetUntil(number uint64, scope string, until time.Time) *dncv1.FeedChange {
	c := rowSet(number, scope)
	c.GetSet().Until = timestamppb.New(until)
	return c
}

func rowRemove(number uint64, scope string) *dncv1.FeedChange {
	return &dncv1.FeedChange{Change: &dncv1.FeedChange_Remove{Remove: &dncv1.FeedRemove{Number: number, Scope: scope}}}
}

func listRows(list uint64, removed bool, numbers ...uint64) *dncv1.FeedChange {
	return &dncv1.FeedChange{Change: &dncv1.FeedChange_ListRows{ListRows: &dncv1.FeedListRows{
		List: &dncv1.EventId{Revision: list}, Removed: removed, Ascending: ascending.Append(nil, 0, numbers...),
	}}}
}

func fakeList(list uint64, scope string) *dncv1.FeedList {
	return &dncv1.FeedList{Id: &dncv1.EventId{Revision: list}, Name: fmt.Sprintf("list-%d", list), Scope: scope}
}

func listLoaded(list uint64, scope string, numbers uint64) *dncv1.FeedChange {
	l := fakeList(list, scope)
	l.Numbers = numbers
	return &dncv1.FeedChange{Change: &dncv1.FeedChange_List{List: l}}
}

func one(changes ...*dncv1.FeedChange) []*dncv1.FeedChange { return changes }

// fiction is a number that is reserved for fiction.
func fiction(i int) uint64 { return uint64(phone.Number(14155550100 + i%100)) }
