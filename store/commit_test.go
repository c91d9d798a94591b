package store

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/journal"
)

// holdCommitter keeps the committer from its work until release is called.
func holdCommitter(t *testing.T, s *Store) (release func()) {
	t.Helper()
	held, free := make(chan struct{}), make(chan struct{})
	go s.between(func() { close(held); <-free })
	<-held
	return func() { close(free) }
}

// fillQueue queues so many opt-outs behind a committer that is held.
func fillQueue(t *testing.T, s *Store, count int) (writes []*pendingEvent) {
	t.Helper()
	for i := range count {
		o := OptOut{Number: writersNumber(0, uint64(i)), Scope: "acme", Channel: policy.ChannelCall, ReceivedAt: day(1)}
		writes = append(writes, queued(t, s, optOutEvent(o), Request{Story: Story{Desk: "desk"}}))
	}
	return writes
}

// A person's write comes before the rows of a file that wait longer.
func TestRowsOfManyLetAPersonGoFirst(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	rows := make([]RecordRow, 2*batchRows)
	for i := range rows {
		rows[i] = row(writersNumber(0, uint64(i)), "acme", policy.ChannelCall, day(1))
	}
	type ending struct {
		outcomes []Outcome
		err      error
	}
	many, one := make(chan ending, 1), make(chan Receipt, 1)
	go func() {
		outcomes, err := s.RecordOptOuts(context.Background(), rows)
		many <- ending{outcomes, err}
	}()
	for len(s.rows) < 2 {
		time.Sleep(time.Millisecond)
	}
	go func() {
		r, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 1)}, Request{})
		if err != nil {
			t.Error(err)
		}
		one <- r
	}()
	for len(s.queue) == 0 {
		time.Sleep(time.Millisecond)
	}
	release()
	if r := <-one; r.ID.Revision != 1 || r.ID.Index > 1 {
		t.Errorf("the person's opt-out is event %d of revision %d, want it among the first two", r.ID.Index, r.ID.Revision)
	}
	if e := <-many; e.err != nil || len(e.outcomes) != len(rows) {
		t.Errorf("got %d outcomes and %v, want all %d", len(e.outcomes), e.err, len(rows))
	}
}

// The bytes of a revision that a group makes as it goes are those of the message.
func TestRevisionBytes(t *testing.T) {
	t.Parallel()
	rev := &storev1.Revision{Time: day(1).UnixNano(), Counted: true}
	b := journal.NewBody(rev.GetTime(), rev.GetAhead())
	for i := range 3 {
		e := &storev1.Event{
			RequestId: bytes.Repeat([]byte("r"), 100*i),
			Change:    &storev1.Event_OptOut{OptOut: &storev1.OptOut{Number: uint64(fiction(415, i)), Scope: "acme"}},
		}
		w := &pendingEvent{event: e}
		if err := w.encode(); err != nil {
			t.Fatal(err)
		}
		rev.Events = append(rev.Events, e)
		b = journal.AppendEvent(b, w.bytes)
	}
	b = journal.EndBody(b)
	want, err := proto.MarshalOptions{Deterministic: true}.Marshal(rev)
	if err != nil || !bytes.Equal(b, want) {
		t.Errorf("got %x, %v; want %x", b, err, want)
	}
	got, err := (&journal.Entry{Revision: 1, Body: b}).Decode()
	if err != nil || !proto.Equal(got, rev) {
		t.Errorf("decoded: %v, %v; want %v", got, err, rev)
	}
}

// A row sees those before it in its own group, which the filter does not hold yet.
func TestRowsOfOneGroupSeeOneAnother(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	n := fiction(415, 1)
	b := newBatch(context.Background(), []RecordRow{
		row(n, "acme", policy.ChannelCall, day(1)), row(n, "acme", policy.ChannelCall, day(1)), row(n, "acme", policy.ChannelCall, day(2)),
	})
	release := holdCommitter(t, s)
	if err := s.submitBatch(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	release()
	if err := s.await(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	outcomes, err := b.results()
	if err != nil || len(outcomes) != 3 || outcomes[0].Duplicate || !outcomes[1].Duplicate || outcomes[2].Duplicate {
		t.Fatalf("got %+v, %v; want the second alone a duplicate", outcomes, err)
	}
	set, err := s.View().recordSet(n)
	if err != nil || len(set.GetRecords()) != 2 || s.View().Revision() != 1 {
		t.Errorf("got %d records at revision %d, %v; want 2 at 1", len(set.GetRecords()), s.View().Revision(), err)
	}
}

func TestBetweenDoesNotWaitForAllWrites(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	writes := fillQueue(t, s, 6*maxGroupEvents)
	var at uint64
	ran := make(chan bool)
	go func() { ran <- s.between(func() { at = s.View().revision }) }()
	release()
	if !<-ran {
		t.Fatal("between did not run")
	}
	for _, w := range writes {
		if a := <-w.replies; a.err != nil {
			t.Fatal(a.err)
		}
	}
	if last := s.View().revision; last < 3 || at == last {
		t.Errorf("between ran at revision %d of %d, want it before the last", at, last)
	}
}

// What runs between two groups comes before the writes that wait, whether or not the group before left one.
func TestBetweenComesBeforeWrites(t *testing.T) {
	t.Parallel()
	s := &Store{queue: make(chan *pendingEvent, 1), rows: make(chan *pendingEvent, 1), control: make(chan func(), 1)}
	left, queued, row := new(pendingEvent), new(pendingEvent), new(pendingEvent)
	for range 100 {
		for _, first := range []*pendingEvent{nil, left} {
			ran := false
			s.queue <- queued
			s.rows <- row
			s.control <- func() { ran = true }
			w := s.nextWrite(first)
			if !ran || w == nil || first != nil && w != first {
				t.Fatalf("with a write left: %v; ran: %v, want it before the write", first != nil, ran)
			}
			s.waiting()
			s.waitingRows()
			for len(s.control) > 0 {
				<-s.control
			}
		}
	}
}

func TestCloseDoesNotWaitForWrites(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	writes := fillQueue(t, s, 6*maxGroupEvents)
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.closing
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the committer is held for as long
	defer cancel()
	_, err := s.RecordOptOut(ctx, OptOut{Number: fiction(415, 1)}, Request{})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("a write after Close: %v, want ErrClosed at once", err)
	}
	release()
	if err := <-closed; err != nil {
		t.Error("close:", err)
	}
	if got := s.View().revision; got != 0 {
		t.Errorf("revision %d after Close, want no group committed", got)
	}
	for i, w := range writes {
		if a := <-w.replies; !errors.Is(a.err, ErrClosed) {
			t.Fatalf("waiting write %d: %v, want ErrClosed", i, a.err)
		}
	}
}

func TestFullQueueDoesNotRedoALoad(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	numbers := registryNumbers(100)
	revision := prepareOnly(t, s, header("a", Replace), numbers, Commit{})
	release := holdCommitter(t, s)
	fillQueue(t, s, queueLen)
	if _, err := s.RecordOptOut(context.Background(), OptOut{Number: fiction(415, 1)}, Request{}); !errors.Is(err, ErrBusy) {
		t.Fatalf("the queue is not full: %v", err)
	}
	time.AfterFunc(200*time.Millisecond, release) // the load has come to its end by then
	walks := 0
	_, err := s.finishLoad(context.Background(), listOf(t, s, "a").ID, revision, func(p Progress) {
		if p.Done == 0 {
			walks++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if walks != 1 {
		t.Errorf("the load was written %d times, want once", walks)
	}
	wantContent(t, s, "a", numbers, nil)
}

// A refusal rests on the writes before it, so it is answered once they are durable and visible, and not before.
func TestRefusalIsAnsweredWithItsGroup(t *testing.T) {
	t.Parallel()
	number, long := OptOut{Number: fiction(415, 1), Scope: "acme"}, OptOut{Number: fiction(415, 2), Scope: longScope}
	list := func(scope policy.Scope) *storev1.Event {
		return &storev1.Event{Change: &storev1.Event_ListCreated{ListCreated: &storev1.ListCreated{
			Name: "registry", Settings: (&Settings{Kind: policy.ListSuppression, Scope: scope}).message(),
		}}}
	}
	for _, c := range []struct {
		first, second *storev1.Event
		request       string
		want          error
		visible       func(*Store) bool // what refuses the second
	}{
		{withdrawEvent(number), withdrawEvent(number), "", ErrNothingToWithdraw, func(s *Store) bool {
			return verdict(s.View(), number.Number, "acme", s.Now()).Verdict == policy.Allow
		}},
		{list("acme"), list("other"), "", ErrListExists, func(s *Store) bool {
			_, err := s.View().List("registry")
			return err == nil
		}},
		{optOutEvent(number), withdrawEvent(number), "r", ErrRequestReused, func(s *Store) bool {
			facts, err := s.View().Number(number.Number, s.Now())
			return err == nil && len(facts.Records) == 2
		}},
		{optOutEvent(long), optOutEvent(long), "", ErrTooManyRecords, func(s *Store) bool {
			facts, err := s.View().Number(long.Number, s.Now())
			return err == nil && facts.Records[len(facts.Records)-1].Scope == longScope
		}},
	} {
		t.Run(c.want.Error(), func(t *testing.T) {
			t.Parallel()
			s, injector := openInjected(t, t.TempDir())
			optOut(t, s, number.Number, number.Scope)
			fillButOne(t, s, long.Number)
			release := holdCommitter(t, s)
			first := queued(t, s, c.first, Request{ID: c.request})
			second := queued(t, s, c.second, Request{ID: c.request})
			injector.set(func(at step, write func() error) error {
				if len(second.replies) > 0 {
					t.Errorf("refused before %s", at)
				}
				return write()
			})
			release()
			if a := <-second.replies; !errors.Is(a.err, c.want) || !c.visible(s) {
				t.Errorf("second: %v, with what refuses it visible: %v; want %v", a.err, c.visible(s), c.want)
			}
			if a := <-first.replies; a.err != nil {
				t.Error("first:", a.err)
			}
		})
	}
}

// longScope is as long as a scope may be.
var longScope = policy.Scope(strings.Repeat("a", 255))

// fillButOne leaves a number with room for one record of longScope.
func fillButOne(t *testing.T, s *Store, n phone.Number) {
	t.Helper()
	rows := []RecordRow{row(n, longScope, policy.ChannelCall, day(1))}
	for _, scope := range []policy.Scope{"b" + longScope[1:], "b"} { // what is left holds no long one, and then no short one
		for i := range apply.MaxRecordSetBytes / len(longScope) {
			rows = append(rows, row(n, scope, policy.ChannelCall, day(2+i)))
		}
	}
	if outcomes := recordAll(t, s, rows); !errors.Is(outcomes[len(rows)-1].Err, ErrTooManyRecords) {
		t.Fatal("the number has room for more")
	}
	if _, err := s.WithdrawOptOut(context.Background(), n, longScope, Request{}); err != nil {
		t.Fatal(err)
	}
}
