package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/dncd/dncd/client"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// collect reads from a cursor until that number of changes came, and returns them with the last bookmark.
func collect(t *testing.T, c *client.Client, from client.Cursor, changes int, opts ...client.WatchOption) (kinds []string, last client.Cursor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for change, err := range c.Watch(ctx, from, opts...) {
		if err != nil {
			t.Fatalf("after %d of %d changes: %v", len(kinds), changes, err)
		}
		if change.Kind == client.ChangeBookmark {
			if last = change.Cursor; len(kinds) >= changes && !last.IsWithin() {
				break
			}
			continue
		}
		kinds = append(kinds, fmt.Sprintf("%d.%d %s %s", change.ID.Revision, change.ID.Index, change.Kind, change.Number+change.ListID))
	}
	return kinds, last
}

// TestWatch holds that each change comes once and in order, while the stream breaks before every third message.
func TestWatch(t *testing.T) {
	t.Parallel()
	messages := 0
	s, addr := serveFeed(t, func(s *feedServer) {
		s.cut = func() error {
			if messages++; messages%3 == 0 {
				return refused(codes.Unavailable, "SHUTTING_DOWN")
			}
			return nil
		}
	})
	s.commit(one(rowSet(fiction(1), "acme")))
	s.commit(one(rowSet(fiction(2), ""), rowRemove(fiction(1), "acme")))
	s.commit(one(listRows(4, false, fiction(5), fiction(6))), one(listRows(4, true, fiction(3)), listLoaded(4, "", 2)))
	s.commit(one(rowSet(fiction(7), "acme")))
	c := connect(t, addr)
	start := client.Cursor("")
	for change, err := range c.Watch(t.Context(), "") { // from now on: there is nothing new
		if err != nil || change.Kind != client.ChangeBookmark || change.Cursor.Position().Revision != 9 {
			t.Fatalf("got %+v, %v, want a bookmark at the tip", change, err)
		}
		start = change.Cursor
		break
	}
	s.mu.Lock()
	begin := client.FromCursor(s.cursor(5, 0))
	s.mu.Unlock()
	breaks := 0
	got, last := collect(t, c, begin, 7, client.OnBreak(func(err error) {
		if breaks++; !errors.Is(err, client.ErrUnavailable) {
			t.Errorf("the stream broke with %v", err)
		}
	}))
	want := []string{
		"6.0 OPT_OUT +14155550101", "7.0 OPT_OUT +14155550102", "7.1 WITHDRAWAL +14155550101",
		"8.0 LIST_ADDED 4.0", "8.0 LIST_REMOVED 4.0", "8.0 LIST_LOADED 4.0", "9.0 OPT_OUT +14155550107",
	}
	if !slices.Equal(got, want) || last != start {
		t.Errorf("got %q until %q,\nwant %q until %q", got, last, want, start)
	}
	if breaks == 0 {
		t.Error("the stream did not break")
	}
	var kept struct{ C client.Cursor }
	text, err := json.Marshal(struct{ C client.Cursor }{last})
	if err := errors.Join(err, json.Unmarshal(text, &kept)); err != nil || kept.C != last {
		t.Errorf("kept as %s, read back as %q: %v", text, kept.C, err)
	}
}

// TestWatchFilter holds what the options ask the server for.
func TestWatchFilter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts []client.WatchOption
		want string
	}{
		"nothing":      {nil, `filter:{}`},
		"a subscriber": {[]client.WatchOption{client.Subscriber("north")}, `subscriber:"north"`},
		"a filter":     {[]client.WatchOption{client.Scope("a"), client.InList("l"), client.Scope("b")}, `filter:{scopes:"a" scopes:"b" lists:"l"}`},
	} {
		if got := client.WatchRequestText(tt.opts...); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

// TestWatchEnds holds which errors end a feed, and that no other does.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	for reason, tt := range map[string]struct {
		code codes.Code
		want error
	}{
		"JOURNAL_FORKED":       {codes.FailedPrecondition, client.ErrJournalForked},
		"JOURNAL_CHANGED":      {codes.FailedPrecondition, client.ErrJournalChanged},
		"FILTER_CHANGED":       {codes.FailedPrecondition, client.ErrFilterChanged},
		"HISTORY_GONE":         {codes.OutOfRange, client.ErrHistoryGone},
		"PERMISSION_DENIED":    {codes.PermissionDenied, client.ErrPermissionDenied},
		"UNAUTHENTICATED":      {codes.Unauthenticated, client.ErrUnauthenticated},
		"SUBSCRIBER_NOT_FOUND": {codes.NotFound, client.ErrSubscriberNotFound},
		"UNAVAILABLE":          {codes.Unavailable, nil},
		"SHUTTING_DOWN":        {codes.Unavailable, nil},
		"OVERLOADED":           {codes.ResourceExhausted, nil},
		"STREAM_IDLE":          {codes.Aborted, nil},
		"INTERNAL":             {codes.Internal, nil},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			tries := 0
			_, addr := serveFeed(t, func(s *feedServer) {
				s.refuse = func(*dncv1.FeedCursor) error {
					if tries++; tries > 2 {
						return nil
					}
					return refused(tt.code, reason)
				}
			})
			for _, err := range connect(t, addr).Watch(t.Context(), "") {
				if !errors.Is(err, tt.want) || err == nil != (tt.want == nil) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				break
			}
		})
	}
}

// TestWatchSilent holds that a stream is opened again when the server says nothing.
func TestWatchSilent(t *testing.T) {
	t.Parallel()
	s, addr := serveFeed(t, func(s *feedServer) { s.beat = time.Hour })
	c := connect(t, addr, client.WithFeedSilence(50*time.Millisecond))
	bookmarks := 0
	for _, err := range c.Watch(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if bookmarks++; bookmarks == 3 {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams < 3 { // more on a slow machine, where a stream is silent before its first message
		t.Errorf("opened %d streams, want 3", s.streams)
	}
}

// TestWatchStops holds that a feed ends with its context, also while no server is there.
func TestWatchStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := connect(t, "127.0.0.1:1")
	for _, err := range c.Watch(ctx, "", client.OnBreak(func(error) { cancel() })) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	}
	for _, err := range c.Watch(t.Context(), "no cursor") {
		if !errors.Is(err, client.ErrInvalidArgument) {
			t.Errorf("got %v, want ErrInvalidArgument", err)
		}
	}
}

// TestWatchNoticesDisorder holds that changes which are repeated or out of order end a feed, also one that has no log.
func TestWatchNoticesDisorder(t *testing.T) {
	t.Parallel()
	type message = *dncv1.WatchResponse
	for name, mangle := range map[string]func(s *feedServer, m message) []message{
		"repeats":         func(_ *feedServer, m message) []message { return []message{m, m} },
		"reorders":        func(_ *feedServer, m message) []message { slices.Reverse(m.GetChanges()); return []message{m} },
		"no cursor":       func(_ *feedServer, m message) []message { m.Cursor = nil; return []message{m} },
		"goes back":       func(s *feedServer, m message) []message { return []message{m, {Cursor: s.cursor(5, 0)}} },
		"an unknown kind": func(_ *feedServer, m message) []message { m.GetChanges()[1].Change = nil; return []message{m} },
		"ahead":           func(s *feedServer, m message) []message { m.Cursor = s.cursor(5, 0); return []message{m} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, addr := serveFeed(t, nil)
			s.mangle = func(m message) []message {
				if len(m.GetChanges()) == 0 {
					return []message{m}
				}
				return mangle(s, m)
			}
			s.commit(one(rowSet(fiction(1), "acme"), rowSet(fiction(2), "acme")))
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s.mu.Lock()
			from := client.FromCursor(s.cursor(5, 0))
			s.mu.Unlock()
			var end error
			for _, err := range connect(t, addr).Watch(ctx, from) {
				end = err
			}
			if !errors.Is(end, client.ErrFeedBroken) {
				t.Errorf("ended with %v, want ErrFeedBroken", end)
			}
		})
	}
}
