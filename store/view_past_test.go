package store

import (
	"context"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// memoryDir is a directory in memory: a journal of many revisions costs a sync for each.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dncd-test-")
	if err != nil {
		t.Skip("no directory in memory: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// oldStore is a store with a little of everything at its beginning, and many revisions after it.
type oldStore struct {
	*Store
	past Past // a time in its beginning, and a revision
	old  phone.Number
}

// makeOldStore makes one whose list, records and, if it is ruled, policy changed in turn in so many later revisions.
func makeOldStore(t *testing.T, later int, ruled bool) *oldStore {
	t.Helper()
	clock := clockAt(day(2))
	s := &oldStore{Store: openAt(t, memoryDir(t), clock), old: fiction(415, 1)}
	list := createList(t, s.Store, "registry", usRegistry("1"))
	load(t, s.Store, "registry", Replace, registryNumbers(100), Commit{SnapshotDate: policy.DateOf(day(1))})
	optOut(t, s.Store, s.old, "acme")
	_, err := s.RecordConsent(context.Background(), Consent{Number: s.old, Consent: policy.Consent{Kind: policy.Contract}}, Request{})
	must(t, err)
	if ruled {
		setPolicy(t, s.Store, consentInFrance)
	}
	clock.advance(time.Minute)
	s.past = Past{Revision: s.View().Revision(), Now: clock.now()}
	for i := range later {
		clock.advance(time.Minute)
		if i%2 == 0 {
			optOut(t, s.Store, phone.Number(12122000000+i), "acme") // another number each time
			continue
		}
		_, _, err := s.UpdateList(context.Background(), list.ID, func(set *Settings) { set.MaxAgeDays = 31 + i%1000 }, Request{Confirmed: true})
		must(t, err)
	}
	return s
}

// quickest is how long work takes at the least.
func quickest(work func()) time.Duration {
	least := time.Duration(math.MaxInt64)
	for range 50 {
		begun := time.Now()
		work()
		least = min(least, time.Since(begun))
	}
	return least
}

// TestAsOfReadsDoNotCostWhatCameLater compares reads of the same past in a short journal and in a long one. A read that passes over
// each later revision takes a hundred times as long in the long one; one that seeks takes a little longer. The quickest of many
// counts, so that other work on the machine does not.
func TestAsOfReadsDoNotCostWhatCameLater(t *testing.T) {
	t.Parallel()
	const short, long, margin = 100, 10_000, 5
	for _, ruled := range []bool{false, true} {
		few, many := makeOldStore(t, short, ruled), makeOldStore(t, long, ruled)
		for name, read := range map[string]func(*oldStore) error{
			"by time":       func(s *oldStore) error { return s.check(Past{Now: s.past.Now}) },
			"by revision":   func(s *oldStore) error { return s.check(Past{Revision: s.past.Revision}) },
			"span":          func(s *oldStore) error { _, err := s.SpanAt(s.past.Now, Span{}); return err },
			"time":          func(s *oldStore) error { _, err := s.View().TimeAt(s.past.Revision); return err },
			"revision":      func(s *oldStore) error { _, err := s.RevisionAt(s.past.Now); return err },
			"records":       func(s *oldStore) error { return s.number(s.past) },
			"history":       func(s *oldStore) error { return s.history(s.past) },
			"number of now": func(s *oldStore) error { return s.number(Past{Revision: s.View().Revision()}) },
		} {
			t.Run(fmt.Sprintf("%s, ruled %t", name, ruled), func(t *testing.T) {
				must(t, read(few))
				must(t, read(many))
				a, b := quickest(func() { _ = read(few) }), quickest(func() { _ = read(many) })
				t.Logf("%v with %d later revisions, %v with %d", a, short, b, long)
				if b > margin*a {
					t.Errorf("%d times as long", b/a)
				}
			})
		}
	}
}

func (s *oldStore) check(p Past) error {
	v, err := s.ViewOf(p)
	if err != nil {
		return err
	}
	if d := verdict(v, s.old, "acme", s.past.Now); d.Verdict != policy.Block {
		return fmt.Errorf("got %v, want BLOCK", d)
	}
	return nil
}

func (s *oldStore) number(p Past) error {
	v, err := s.ViewOf(p)
	if err != nil {
		return err
	}
	facts, err := v.Number(s.old, s.past.Now)
	if err == nil && len(facts.Records) != 2 {
		err = fmt.Errorf("%d records, want 2", len(facts.Records))
	}
	return err
}

func (s *oldStore) history(p Past) error {
	v, err := s.ViewOf(p)
	if err != nil {
		return err
	}
	events, _, err := v.History(s.old, policy.EventID{}, 10)
	if err == nil && len(events) != 2 {
		err = fmt.Errorf("%d events, want 2", len(events))
	}
	return err
}

// A view of the past has the lists that there were, as they were: one that was deleted since, one that was loaded again since, and
// none that was created since.
func TestPastHasTheListsOfItsMoment(t *testing.T) {
	t.Parallel()
	clock := clockAt(day(2))
	s := openAt(t, t.TempDir(), clock)
	suppression := Settings{Kind: policy.ListSuppression}
	for _, name := range []string{"b-deleted", "a-loaded"} {
		createList(t, s, name, suppression)
		load(t, s, name, Replace, registryNumbers(10), Commit{})
	}
	want := s.View()
	_, err := s.DeleteList(context.Background(), listOf(t, s, "b-deleted").ID, Request{Confirmed: true})
	must(t, err)
	load(t, s, "a-loaded", Replace, registryNumbers(20), Commit{})
	createList(t, s, "c-created", suppression)
	createList(t, s, "b-deleted", suppression) // another list of the same name
	got, err := s.ViewAt(want.Revision())
	must(t, err)
	if len(got.Lists()) != len(want.Lists()) {
		t.Fatalf("%d lists, want %d", len(got.Lists()), len(want.Lists()))
	}
	for i, l := range want.Lists() {
		if g := got.Lists()[i]; g.ID != l.ID || g.Name != l.Name || g.ContentRevision != l.ContentRevision || g.Numbers != l.Numbers {
			t.Errorf("got %+v, want %+v", g, l)
		}
	}
}
