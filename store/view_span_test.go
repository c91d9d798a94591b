package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// wantSpan compares the span at a time with what is found for that time alone: the revision, the clock and the end.
func wantSpan(t *testing.T, s *Store, span Span, at time.Time) {
	t.Helper()
	want, wantErr := s.ViewOf(Past{Now: at})
	got, err := span.At(at)
	if !span.Holds(at) || (err == nil) != (wantErr == nil) || err != nil && !errors.Is(err, ErrHistoryGone) {
		t.Fatalf("at %v: got %v, which holds it: %v; want %v", at, err, span.Holds(at), wantErr)
	}
	if wantErr == nil {
		gotNow, gotAhead := got.Clock()
		wantNow, wantAhead := want.Clock()
		if got.Revision() != want.Revision() || !gotNow.Equal(wantNow) || gotAhead != wantAhead {
			t.Fatalf("at %v: got revision %d, %v ahead by %v; want %d, %v, %v", at, got.Revision(), gotNow, gotAhead, want.Revision(), wantNow, wantAhead)
		}
	}
	if span.until.IsZero() {
		return
	}
	before, _ := s.RevisionAt(span.until.Add(-1))
	after, err := s.RevisionAt(span.until)
	if here, _ := s.RevisionAt(at); err != nil || before != here || after == here {
		t.Fatalf("the span of revision %d ends at %v: got revision %d before it and %d at it", here, span.until, before, after)
	}
}

// TestSpansAgreeWithSingleMoments: in whatever order moments are asked for, a span is that of the moment alone. Several revisions
// have one time, the clock is set back and ahead, and a copy that was put back leaves a gap.
func TestSpansAgreeWithSingleMoments(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 0))
	dir, clock := t.TempDir(), clockAt(day(2))
	s := openAt(t, dir, clock)
	write := func(count int) {
		for range count {
			optOut(t, s, fiction(212, r.IntN(100)), "")
			clock.advance(time.Duration(r.IntN(3)-r.IntN(2)) * time.Hour) // some at one time, some behind the last one
		}
	}
	write(40)
	closeStore(t, s)
	o := testOptions()
	o.Clock = clock.now
	if _, err := Restored(context.Background(), dir, o); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, clock)
	write(40)
	clock.set(s.View().Time().Add(48 * time.Hour))
	from, length := day(1), clock.now().Sub(day(1))
	moments := []time.Time{from, day(2), s.View().Time(), clock.now()}
	for range 300 {
		moments = append(moments, from.Add(time.Duration(r.Int64N(int64(length)))).Truncate(time.Hour), from.Add(time.Duration(r.Int64N(int64(length)))))
	}
	var span Span
	for _, at := range moments {
		next, err := s.SpanAt(at, span)
		if err != nil {
			t.Fatal(err)
		}
		wantSpan(t, s, next, at)
		span = next
	}
	if none := new(Span); span.Holds(span.from.Add(-1)) || none.Holds(day(2)) {
		t.Error("a span holds a time before it, or the zero Span holds one")
	}
	if _, err := s.SpanAt(clock.now().Add(1), Span{}); !errors.Is(err, ErrFutureRevision) {
		t.Errorf("a time to come: got %v, want ErrFutureRevision", err)
	}
}

// A time alone is answered as the clock counted then: an opt-out that expires counts by the clock of the commit before it.
func TestTimeAloneIsAheadAsItsRevisionWas(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(10))
	s := openAt(t, t.TempDir(), clock)
	optOut(t, s, fiction(212, 1), "")
	clock.set(day(7))
	optOut(t, s, fiction(212, 2), "") // at day 10, ahead by 3 days
	clock.set(day(20))
	for passed, want := range map[time.Duration]time.Duration{0: 72 * time.Hour, 24 * time.Hour: 48 * time.Hour, 72 * time.Hour: 0, 96 * time.Hour: 0} {
		v, err := s.ViewOf(Past{Now: day(10).Add(passed)})
		must(t, err)
		if now, ahead := v.Clock(); !now.Equal(day(10).Add(passed)) || ahead != want {
			t.Errorf("%v later: got %v ahead by %v, want %v", passed, now, ahead, want)
		}
	}
}

// Between the end of a copy that was put back and the moment of that, a store acknowledged what nobody knows now: an opt-out that
// checks answered by may be among it.
func TestMomentsOfALossAreNotKnown(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockAt(day(2))
	s := openAt(t, dir, clock)
	optOut(t, s, fiction(212, 1), "")
	clock.set(day(3))
	kept := optOut(t, s, fiction(212, 2), "").ID.Revision
	closeStore(t, s)
	clock.set(day(5))
	o := testOptions()
	o.Clock = clock.now
	if _, err := Restored(context.Background(), dir, o); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, clock)
	clock.set(day(6))
	for _, at := range []time.Time{day(3), day(4), day(5).Add(-1)} {
		if _, err := s.ViewOf(Past{Now: at}); !errors.Is(err, ErrHistoryGone) {
			t.Errorf("at %v: got %v, want ErrHistoryGone", at, err)
		}
	}
	for _, past := range []Past{{Now: day(3).Add(-1)}, {Now: day(5)}, {Revision: kept, Now: day(4)}} {
		if _, err := s.ViewOf(past); err != nil {
			t.Errorf("%+v: %v", past, err)
		}
	}
}

// A call that came before everything that is known is not known, and costs no more reads than the first.
func TestSpanBeforeTheJournal(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(5))
	s := openAt(t, t.TempDir(), clock)
	span, err := s.SpanAt(day(1), Span{})
	must(t, err)
	if _, err := span.At(day(1)); !errors.Is(err, ErrHistoryGone) || !span.Holds(day(5)) {
		t.Errorf("an empty store: got %v, want ErrHistoryGone at every time", err)
	}
	optOut(t, s, fiction(212, 1), "")
	span, err = s.SpanAt(day(1), Span{})
	must(t, err)
	if _, err := span.At(day(1)); !errors.Is(err, ErrHistoryGone) || !span.Holds(day(5).Add(-1)) || span.Holds(day(5)) {
		t.Errorf("before the first revision: got %v, want ErrHistoryGone until then", err)
	}
}
