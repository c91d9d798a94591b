package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/state"
)

// A group takes no more than the limits of a revision, whichever of them is met first; what has no room makes the next one.
func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("r", 100<<10)
	many := OptOut{Number: fiction(415, 2), Scope: longScope}
	for _, c := range []struct {
		name   string
		count  int
		event  func(i int) (*storev1.Event, Request)
		most   int // events of a revision
		groups int
	}{
		{"events", 2*maxGroupEvents + 1, func(i int) (*storev1.Event, Request) {
			return optOutEvent(OptOut{Number: writersNumber(0, uint64(i))}), Request{}
		}, maxGroupEvents, 3},
		{"bytes of events", 9, func(i int) (*storev1.Event, Request) {
			return optOutEvent(OptOut{Number: fiction(415, 1)}), Request{ID: fmt.Sprint(i, long)}
		}, 4, 3},
		{"bytes of stories", 9, func(i int) (*storev1.Event, Request) {
			return optOutEvent(OptOut{Number: fiction(415, 1)}), Request{Story: Story{Note: fmt.Sprint(i, long)}}
		}, 4, 3},
		{"bytes of state", 100, func(i int) (*storev1.Event, Request) { // the number's records are written again by each
			return optOutEvent(many), Request{}
		}, maxGroupBytes / (50 << 10), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir())
			rows := make([]RecordRow, 190) // of 255 bytes and more
			for i := range rows {
				rows[i] = row(many.Number, longScope, policy.ChannelCall, day(1+i))
			}
			before := recordAll(t, s, rows)[len(rows)-1].ID.Revision
			release := holdCommitter(t, s)
			var writes []*pendingEvent
			for i := range c.count {
				writes = append(writes, queued(t, s, first(c.event(i)), second(c.event(i))))
			}
			release()
			for _, w := range writes {
				if a := <-w.replies; a.err != nil && !errors.Is(a.err, ErrTooManyRecords) {
					t.Fatal(a.err)
				}
			}
			got := eventsOf(t, s, before+1)
			if slices.Max(got) > c.most || len(got) < c.groups {
				t.Errorf("groups of %d events, want at least %d of at most %d", got, c.groups, c.most)
			}
		})
	}
}

func first[A, B any](a A, _ B) A { return a }

func second[A, B any](_ A, b B) B { return b }

// eventsOf counts the events of each revision from the first one on.
func eventsOf(t *testing.T, s *Store, from uint64) (counts []int) {
	t.Helper()
	txn := s.db.NewTransactionAt(s.View().Revision(), false)
	defer txn.Discard()
	for e, err := range journal.Entries(txn, from) {
		must(t, err)
		rev, err := e.Decode()
		must(t, err)
		counts = append(counts, len(rev.GetEvents()))
	}
	return counts
}

// The largest event that is taken, and the smallest one that is not.
func TestEventIsBounded(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	o := OptOut{Number: fiction(415, 1)}
	w, err := newPendingEvent(optOutEvent(o), Request{ID: strings.Repeat("r", maxEventBytes)})
	must(t, err)
	over := proto.Size(w.event) - maxEventBytes
	for _, c := range []struct {
		id   int // its length
		want error
	}{{maxEventBytes - over + 1, ErrTooLarge}, {maxEventBytes - over, nil}} {
		_, err := s.RecordOptOut(context.Background(), o, Request{ID: strings.Repeat("r", c.id)})
		if !errors.Is(err, c.want) {
			t.Errorf("an event of %d bytes: %v, want %v", c.id+over, err, c.want)
		}
	}
	if got := s.View().Revision(); got != 1 {
		t.Errorf("revision %d, want the one event that fits", got)
	}
}

// What is no longer waited for when its group begins is not written: its caller may have asked again.
func TestCallerWhoIsGoneIsNotWritten(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		_, err := s.RecordOptOut(ctx, OptOut{Number: fiction(415, 1)}, Request{})
		ended <- err
	}()
	for len(s.queue) == 0 {
	}
	here := queued(t, s, optOutEvent(OptOut{Number: fiction(415, 2)}), Request{})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller who went: %v", err)
	}
	release()
	if a := <-here.replies; a.err != nil || a.receipt.ID != state.EventID(1, 0) {
		t.Errorf("the caller who stayed: %+v, %v; want the first event", a.receipt, a.err)
	}
	wantVerdict(t, s, fiction(415, 1), "", policy.Allow, policy.CauseNone)
	wantVerdict(t, s, fiction(415, 2), "", policy.Block, policy.CauseNone)
}

// A write without a request id leaves no request to remember.
func TestNoRequestIsRememberedWithoutAnID(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	optOut(t, s, fiction(415, 1), "acme")
	_, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 2)}, Request{ID: "r"})
	must(t, err)
	hash := sha256.Sum256([]byte("r"))
	if got := keysOf(t, s, keys.KindRequest); len(got) != 1 || !bytes.Equal(got[0], keys.Request(hash[:])) {
		t.Errorf("%d requests are remembered, want the one that has an id", len(got))
	}
}
