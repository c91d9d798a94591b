package store

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// storeModel drives a store and its model together.
type storeModel struct {
	t     *testing.T // of the test, for what never fails
	dir   string
	clock *testClock
	s     *Store
	now   modelState
	past  map[uint64]modelState
}

// modelChecks keeps the default run short; -rapid.checks asks for more.
func modelChecks() {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("10") // a number: it takes
	}
}

func TestStoreAgreesWithItsModel(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	modelChecks()
	rapid.Check(t, func(r *rapid.T) {
		m := newStoreModel(t)
		defer m.close()
		r.Repeat(map[string]func(*rapid.T){
			"":         m.check,
			"opt out":  m.optOut,
			"opt out2": m.optOut,
			"rows":     m.rows,
			"withdraw": m.withdraw,
			"create":   m.create,
			"update":   m.update,
			"delete":   m.delete,
			"load":     m.load,
			"load2":    m.load,
			"revert":   m.revert,
			"prepare":  m.prepare,
			"abandon":  m.abandon,
			"clock":    m.advance,
			"reopen":   m.reopen,
		})
	})
}

func newStoreModel(t *testing.T) *storeModel {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	m := &storeModel{t: t, dir: dir, clock: clockAt(time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC)), past: map[uint64]modelState{}}
	m.s = openAt(t, dir, m.clock)
	m.now = modelState{records: map[phone.Number][]modelRecord{}, lists: map[string]*modelList{}, history: map[phone.Number][]string{}}
	m.past[0] = m.now.clone()
	return m
}

func (m *storeModel) close() {
	closeStore(m.t, m.s)
	found, err := Fsck(context.Background(), m.dir, testOptions())
	if err != nil || !found.OK() {
		m.t.Errorf("fsck: %v, %v", found.Problems, err)
	}
	os.RemoveAll(m.dir)
}

// time is what an event or a check made now reads as now.
func (m *storeModel) time() time.Time {
	if now := m.clock.now(); now.After(m.now.time) {
		return now
	}
	return m.now.time
}

// became notes the revisions that a change has led to: those before the last one show the state as it was.
func (m *storeModel) became(r *rapid.T, next modelState) {
	at, before := m.time(), m.now
	revision := m.s.View().Revision()
	for from := uint64(len(m.past)); from <= revision; from++ {
		before.time, next.time = at, at
		m.past[from] = before
	}
	if len(m.past) == int(revision)+1 {
		m.past[revision], m.now = next.clone(), next
	}
	if m.s.View().Time() != m.now.time && revision > 0 {
		r.Fatalf("revision %d is of %v, want %v", revision, m.s.View().Time(), m.now.time)
	}
}

func (m *storeModel) wantError(r *rapid.T, got, want error) {
	if !errors.Is(got, want) {
		r.Fatalf("error %v, want %v", got, want)
	}
	if want != nil && m.s.View().Revision() != uint64(len(m.past))-1 {
		r.Fatalf("%v, and a revision nevertheless", got)
	}
}

func drawNumber(r *rapid.T) phone.Number { return rapid.SampledFrom(modelNumbers).Draw(r, "number") }

func drawScope(r *rapid.T) policy.Scope { return rapid.SampledFrom(modelScopes).Draw(r, "scope") }

func (m *storeModel) optOut(r *rapid.T) {
	n, rec := drawNumber(r), modelRecord{scope: drawScope(r)}
	if d := rapid.SampledFrom([]int{0, 0, -1, 1, 30, 100}).Draw(r, "ends in hours"); d != 0 {
		rec.ends = m.clock.now().Add(time.Duration(d) * time.Hour)
	}
	receipt, err := m.s.RecordOptOut(context.Background(), OptOut{Number: n, Scope: rec.scope, ExpiresAt: rec.ends}, Request{})
	m.wantError(r, err, nil)
	next := m.now.clone()
	next.records[n] = append(m.inForce(n), rec)
	m.note(next, n, fmt.Sprintf("%d opt-out %q", receipt.ID.Revision, rec.scope))
	m.became(r, next)
}

// rows records some rows of a file, in which numbers meet; each is a duplicate where its number holds an opt-out from its
// scope that lasts as long.
func (m *storeModel) rows(r *rapid.T) {
	var rows []RecordRow
	var want []bool
	next, revision := m.now.clone(), m.s.View().Revision()+1
	for range rapid.IntRange(1, 6).Draw(r, "rows") {
		rec := modelRecord{scope: drawScope(r), note: rapid.SampledFrom([]string{"", "", "a", "b"}).Draw(r, "note")}
		if d := rapid.SampledFrom([]int{0, 0, -1, 1, 30}).Draw(r, "ends in hours"); d != 0 {
			rec.ends = m.clock.now().Add(time.Duration(d) * time.Hour)
		}
		n := drawNumber(r)
		rows = append(rows, RecordRow{OptOut: OptOut{Number: n, Scope: rec.scope, ExpiresAt: rec.ends}, Story: Story{Desk: "desk", Note: rec.note}})
		held := slices.DeleteFunc(slices.Clone(next.records[n]), func(r modelRecord) bool { return !r.holds(m.clock.now()) })
		want = append(want, slices.ContainsFunc(held, func(h modelRecord) bool {
			return h.scope == rec.scope && (h.ends.IsZero() || !rec.ends.IsZero() && !h.ends.Before(rec.ends))
		}))
		if !want[len(want)-1] {
			next.records[n] = append(held, rec)
			m.note(next, n, fmt.Sprintf("%d opt-out %q%s", revision, rec.scope, rec.note))
		}
	}
	outcomes, err := m.s.RecordOptOuts(context.Background(), rows)
	m.wantError(r, err, nil)
	if got := duplicates(outcomes); !slices.Equal(got, want) {
		r.Fatalf("duplicates %v, want %v", got, want)
	}
	m.became(r, next)
}

// inForce are the records of a number that a write finds: those that checks count, by the clock.
func (m *storeModel) inForce(n phone.Number) []modelRecord {
	return slices.DeleteFunc(slices.Clone(m.now.records[n]), func(r modelRecord) bool { return !r.holds(m.clock.now()) })
}

func (m *storeModel) note(next modelState, n phone.Number, what string) {
	next.history[n] = append(slices.Clone(next.history[n]), what)
}

func (m *storeModel) withdraw(r *rapid.T) {
	n, scope := drawNumber(r), drawScope(r)
	held := m.inForce(n)
	kept := slices.DeleteFunc(slices.Clone(held), func(r modelRecord) bool { return r.scope == scope })
	receipt, err := m.s.WithdrawOptOut(context.Background(), n, scope, Request{})
	if len(kept) == len(held) {
		m.wantError(r, err, ErrNothingToWithdraw)
		return
	}
	m.wantError(r, err, nil)
	if receipt.Ended != len(held)-len(kept) {
		r.Fatalf("ended %d, want %d", receipt.Ended, len(held)-len(kept))
	}
	next := m.now.clone()
	next.records[n] = kept
	m.note(next, n, fmt.Sprintf("%d withdrawn %q", receipt.ID.Revision, scope))
	m.became(r, next)
}

func drawCoverage(r *rapid.T) []string {
	all := []string{"1", "1415", "1818", "33"}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(all), 0, 2, rapid.ID[string]).Draw(r, "coverage")
}

func (m *storeModel) create(r *rapid.T) {
	name := rapid.SampledFrom(modelNames).Draw(r, "list")
	settings := Settings{Kind: policy.ListSuppression, Scope: drawScope(r), Coverage: drawCoverage(r)}
	if rapid.Bool().Draw(r, "registry") {
		settings.Kind, settings.Jurisdiction = policy.ListRegistry, []string{"US"}
	}
	settings.MaxAgeDays = rapid.SampledFrom([]int{0, 2, 31}).Draw(r, "max age")
	_, _, err := m.s.CreateList(context.Background(), name, settings, Request{})
	if m.now.lists[name] != nil {
		m.wantError(r, err, ErrListExists)
		return
	}
	m.wantError(r, err, nil)
	next := m.now.clone()
	next.lists[name] = &modelList{settings: settings}
	m.became(r, next)
}

// drawList picks a list that is there.
func (m *storeModel) drawList(r *rapid.T) (string, *modelList) {
	if len(m.now.lists) == 0 {
		r.Skip("no list yet")
	}
	name := rapid.SampledFrom(slices.Sorted(maps.Keys(m.now.lists))).Draw(r, "list")
	return name, m.now.lists[name]
}

func (m *storeModel) update(r *rapid.T) {
	name, l := m.drawList(r)
	after := *l
	after.settings.Coverage = drawCoverage(r)
	after.settings.MaxAgeDays = rapid.SampledFrom([]int{0, 2, 31}).Draw(r, "max age")
	_, _, err := m.s.UpdateList(context.Background(), listNamed(m.s, name), func(s *Settings) {
		s.Coverage, s.MaxAgeDays = after.settings.Coverage, after.settings.MaxAgeDays
	}, Request{Confirmed: true})
	if l.pending != nil {
		m.wantError(r, err, ErrImportRunning)
		return
	}
	m.wantError(r, err, nil)
	if after.loaded {
		after.cover()
	}
	next := m.now.clone()
	next.lists[name] = &after
	m.became(r, next)
}

func (m *storeModel) delete(r *rapid.T) {
	name, l := m.drawList(r)
	held, err := m.s.View().List(name)
	m.wantError(r, err, nil)
	_, err = m.s.DeleteList(context.Background(), held.ID, Request{Confirmed: true})
	if l.pending != nil {
		m.wantError(r, err, ErrImportRunning)
		return
	}
	m.wantError(r, err, nil)
	next := m.now.clone()
	delete(next.lists, name)
	m.became(r, next)
}

func (m *storeModel) drawLoad(r *rapid.T) (Mode, []phone.Number, Commit) {
	mode := rapid.SampledFrom([]Mode{Replace, Add, Remove}).Draw(r, "mode")
	numbers := rapid.SliceOfNDistinct(rapid.SampledFrom(modelNumbers), 1, 5, rapid.ID[phone.Number]).Draw(r, "numbers")
	c := Commit{FileCoverage: drawCoverage(r)}
	if days := rapid.IntRange(-1, 40).Draw(r, "days old"); days >= 0 {
		c.SnapshotDate = policy.DateOf(m.time()) - policy.Date(days)
	}
	return mode, numbers, c
}

// refusal is the error that a load must meet.
func (l *modelList) refusal(mode Mode, c Commit, takeOver bool) error {
	switch {
	case l.pending != nil && !takeOver:
		return ErrImportRunning
	case mode == Remove && !l.loaded:
		return ErrMode
	case (mode == Replace || !l.loaded) && c.SnapshotDate == 0 && l.settings.MaxAgeDays > 0:
		return ErrSnapshotDateRequired
	}
	return nil
}

func (m *storeModel) load(r *rapid.T) {
	name, l := m.drawList(r)
	mode, numbers, c := m.drawLoad(r)
	h := header(name, mode)
	h.Override = true
	h.TakeOver = rapid.Bool().Draw(r, "take over")
	i, err := m.s.BeginImport(h)
	if err != nil {
		r.Fatal(err)
	}
	defer i.Close()
	result, err := commit(i, digits(numbers...), c)
	if l.pending != nil && h.TakeOver { // given up, whatever comes after
		freed := *l
		freed.pending = nil
		l = &freed
		next := m.now.clone()
		next.lists[name] = l
		m.became(r, next)
	}
	if want := l.refusal(mode, c, h.TakeOver); want != nil {
		m.wantError(r, err, want)
		return
	}
	m.wantError(r, err, nil)
	after, changes := l.load(mode, numbers, c)
	if result.AlreadyLoaded == changes || result.Numbers != uint64(len(after.numbers)) {
		r.Fatalf("already loaded: %v, %d numbers; want %v, %d", result.AlreadyLoaded, result.Numbers, !changes, len(after.numbers))
	}
	next := m.now.clone()
	next.lists[name] = after
	m.became(r, next)
}

func (m *storeModel) revert(r *rapid.T) {
	name, l := m.drawList(r)
	h := header(name, Revert)
	h.Override = true
	_, err := m.s.Revert(context.Background(), h, silent)
	if l.pending != nil {
		m.wantError(r, err, ErrImportRunning)
		return
	}
	after := l.reverted()
	if after == nil {
		m.wantError(r, err, ErrNothingToRevert)
		return
	}
	m.wantError(r, err, nil)
	next := m.now.clone()
	next.lists[name] = after
	m.became(r, next)
}

// prepare takes a load half way, and leaves it to a restart or to whoever takes over.
func (m *storeModel) prepare(r *rapid.T) {
	name, l := m.drawList(r)
	mode, numbers, c := m.drawLoad(r)
	after, changes := l.load(mode, numbers, c)
	if l.pending != nil || l.refusal(mode, c, false) != nil || !changes {
		r.Skip("nothing to prepare")
	}
	h := header(name, mode)
	h.Override = true
	prepareOnly(m.t, m.s, h, digits(numbers...), c)
	writeBlocks(m.t, m.s, name, rapid.IntRange(0, 3).Draw(r, "blocks"))
	held := *l
	held.pending = after
	next := m.now.clone()
	next.lists[name] = &held
	m.became(r, next)
}

func (m *storeModel) abandon(r *rapid.T) {
	name, l := m.drawList(r)
	if l.pending == nil {
		r.Skip("nothing to abandon")
	}
	id := listOf(m.t, m.s, name)
	m.wantError(r, m.s.abandonLoad(context.Background(), id.ID, id.Pending), nil)
	freed := *l
	freed.pending = nil
	next := m.now.clone()
	next.lists[name] = &freed
	m.became(r, next)
}

func (m *storeModel) advance(r *rapid.T) {
	hours := rapid.SampledFrom([]int{-50, -1, 1, 12, 24, 24 * 10}).Draw(r, "hours")
	m.clock.advance(time.Duration(hours) * time.Hour)
}

// reopen closes and opens the store, which then ends by itself what was prepared.
func (m *storeModel) reopen(r *rapid.T) {
	closeStore(m.t, m.s)
	m.s = openAt(m.t, m.dir, m.clock)
	if cause := m.s.State().Cause; cause != nil {
		r.Fatal("reopened:", cause)
	}
	waiting := map[string]uint64{}
	for name, l := range m.now.lists {
		if l.pending != nil {
			awaitIdle(m.t, m.s, name)
			waiting[name] = listOf(m.t, m.s, name).UpdatedRevision
		}
	}
	at := m.time()
	for revision := uint64(len(m.past)); revision <= m.s.View().Revision(); revision++ {
		next := m.now.clone()
		next.time = at
		for name, switched := range waiting {
			if switched == revision {
				next.lists[name] = next.lists[name].pending
			}
		}
		m.past[revision], m.now = next.clone(), next
	}
}

// check compares the newest revision and one before it with the model.
func (m *storeModel) check(r *rapid.T) {
	v := m.s.View()
	if v.Revision() != uint64(len(m.past))-1 {
		r.Fatalf("revision %d, want %d", v.Revision(), len(m.past)-1)
	}
	if !m.s.Now().Equal(m.time()) {
		r.Fatalf("now %v, want %v", m.s.Now(), m.time())
	}
	m.checkView(r, v, m.now, m.s.Now())
	revision := rapid.Uint64Range(0, v.Revision()).Draw(r, "as of")
	old, err := m.s.ViewAt(revision)
	if err != nil {
		r.Fatal(err)
	}
	m.checkView(r, old, m.past[revision], old.Time())
	m.checkTotals(r)
}

func (m *storeModel) checkView(r *rapid.T, v *View, want modelState, now time.Time) {
	if !v.Time().Equal(want.time) {
		r.Fatalf("revision %d is of %v, want %v", v.Revision(), v.Time(), want.time)
	}
	ahead := max(0, want.time.Sub(m.clock.now()))
	for _, n := range modelNumbers {
		for _, scope := range modelScopes {
			got := verdict(v, n, scope, now)
			if verdict, cause := want.verdict(n, scope, now, ahead); got.Verdict != verdict || got.Cause != cause {
				r.Fatalf("revision %d, %s at scope %q: verdict %d cause %d, want %d %d",
					v.Revision(), n.E164(), scope, got.Verdict, got.Cause, verdict, cause)
			}
		}
		m.checkNumber(r, v, n, want, now)
	}
	for _, scope := range modelScopes {
		wantManyAsLookup(r, v, modelNumbers, scope, now, new(Findings))
	}
	if len(v.Lists()) != len(want.lists) {
		r.Fatalf("revision %d: %d lists, want %d", v.Revision(), len(v.Lists()), len(want.lists))
	}
	for name, w := range want.lists {
		l, err := v.List(name)
		if err != nil {
			r.Fatal(err)
		}
		if got := exportList(m.t, v, l); !slices.Equal(got, w.sorted()) || l.Numbers != uint64(len(got)) || l.SnapshotDate != w.date {
			r.Fatalf("revision %d: list %s holds %v and says %d, of %v; want %v of %v", v.Revision(), name, got, l.Numbers, l.SnapshotDate, w.sorted(), w.date)
		}
	}
}

// checkNumber compares what is told about one number: what holds, and its history.
func (m *storeModel) checkNumber(r *rapid.T, v *View, n phone.Number, want modelState, now time.Time) {
	facts, err := v.Number(n, now)
	if err != nil {
		r.Fatal(err)
	}
	var records []modelRecord
	for _, d := range facts.Records {
		records = append(records, modelRecord{d.Scope, d.ExpiresAt, d.Story.Note})
	}
	held := slices.DeleteFunc(slices.Clone(want.records[n]), func(r modelRecord) bool { return !r.holds(now) })
	if !slices.EqualFunc(records, held, func(a, b modelRecord) bool { return a.scope == b.scope && a.ends.Equal(b.ends) && a.note == b.note }) {
		r.Fatalf("revision %d, %s: records %v, want %v", v.Revision(), n.E164(), records, held)
	}
	on := map[string]bool{}
	for _, l := range facts.Lists {
		on[l.Name] = true
	}
	for name, l := range want.lists {
		if on[name] != l.numbers[n] {
			r.Fatalf("revision %d, %s on list %s: %v, want %v", v.Revision(), n.E164(), name, on[name], l.numbers[n])
		}
	}
	events, _, err := v.History(n, policy.EventID{}, 1000)
	if err != nil {
		r.Fatal(err)
	}
	var history []string
	for _, e := range events {
		kind := map[EventKind]string{EventOptOut: "opt-out", EventOptOutWithdrawn: "withdrawn"}[e.Kind]
		history = append(history, fmt.Sprintf("%d %s %q%s", e.ID.Revision, kind, e.Scope, e.Story.Note))
	}
	if !slices.Equal(history, want.history[n]) {
		r.Fatalf("revision %d, %s: history %v, want %v", v.Revision(), n.E164(), history, want.history[n])
	}
}

func (m *storeModel) checkTotals(r *rapid.T) {
	var numbers, records uint64
	for _, held := range m.now.records {
		records += uint64(len(held))
		if len(held) > 0 {
			numbers++
		}
	}
	if st := m.s.Stats(); st.Numbers != numbers || st.Records != records {
		r.Fatalf("%d numbers and %d records are counted, want %d and %d", st.Numbers, st.Records, numbers, records)
	}
}

// At the very moment of its end an opt-out is over, for checks and for withdrawals alike.
func TestNothingToWithdrawAtTheMomentOfExpiry(t *testing.T) {
	t.Parallel()
	clock := clockAt(time.Date(2026, 9, 9, 12, 0, 0, 0, time.UTC))
	s := openAt(t, t.TempDir(), clock)
	n, ctx := fiction(415, 1), context.Background()
	for _, c := range []struct {
		late time.Duration
		want error
	}{{-1, nil}, {0, ErrNothingToWithdraw}} {
		o := OptOut{Number: n, ExpiresAt: clock.now().Add(time.Hour)}
		if _, err := s.RecordOptOut(ctx, o, Request{}); err != nil {
			t.Fatal(err)
		}
		clock.set(o.ExpiresAt.Add(c.late))
		if _, err := s.WithdrawOptOut(ctx, n, "", Request{}); !errors.Is(err, c.want) {
			t.Errorf("%v after its end: %v, want %v", c.late, err, c.want)
		}
		wantVerdict(t, s, n, "", policy.Allow, policy.CauseNone)
	}
}
