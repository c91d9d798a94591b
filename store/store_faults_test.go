package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/journal"
)

// injector makes writes of a store fail from the moment that a test asks for it.
type injector struct {
	mu    sync.Mutex
	fault faults // nil: none
	begun []step // writes since the fault was set
}

// set makes f the fault from now on; nil: none.
func (i *injector) set(f faults) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fault, i.begun = f, nil
}

func (i *injector) do(at step, write func() error) error {
	i.mu.Lock()
	i.begun = append(i.begun, at)
	fault := i.fault
	i.mu.Unlock()
	return fault.do(at, write)
}

// count is how often a step was begun since the fault was set.
func (i *injector) count(at step) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.begun) - len(slices.DeleteFunc(slices.Clone(i.begun), func(s step) bool { return s == at }))
}

func openInjected(t testing.TB, dir string) (*Store, *injector) {
	t.Helper()
	i := new(injector)
	o := testOptions()
	o.faults = i.do
	return openWith(t, dir, o), i
}

var errInjected = errors.New("injected")

// way is how a write fails.
type way func(write func() error) error

func notWritten(func() error) error { return errInjected }

func writtenAndFailed(write func() error) error { return errors.Join(write(), errInjected) }

// failing fails the writes of one step.
func failing(at step, w way) faults {
	return func(s step, write func() error) error {
		if s != at {
			return write()
		}
		return w(write)
	}
}

// optOutEvent and withdrawEvent are the events that RecordOptOut and WithdrawOptOut make.
func optOutEvent(o OptOut) *storev1.Event {
	return &storev1.Event{Change: &storev1.Event_OptOut{OptOut: o.message()}}
}

func withdrawEvent(o OptOut) *storev1.Event {
	return &storev1.Event{Change: &storev1.Event_OptOutWithdrawn{OptOutWithdrawn: &storev1.OptOutWithdrawn{
		Number: uint64(o.Number), Scope: string(o.Scope),
	}}}
}

// queued is a write that waits in a queue that the committer does not read yet.
func queued(t testing.TB, s *Store, e *storev1.Event, r Request) *pendingEvent {
	t.Helper()
	w, err := newPendingEvent(e, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.admit(context.Background(), w); err != nil {
		t.Fatal(err)
	}
	s.queue <- w
	return w
}

// groupFault is a way in which a group's write fails, and whether the group is there when the store is opened again.
type groupFault struct {
	at    step
	name  string
	way   func(*Store) way
	there bool
}

func groupFaults() []groupFault {
	always := func(w way) func(*Store) way { return func(*Store) way { return w } }
	return []groupFault{
		{stepStories, "not written", always(notWritten), false},
		{stepStories, "written", always(writtenAndFailed), false},
		{stepCommit, "not written", always(notWritten), false},
		{stepCommit, "written", always(writtenAndFailed), true},
		{stepMark, "not written", always(notWritten), true},
		{stepMark, "torn", tornMark, true},
		{stepMark, "written", always(writtenAndFailed), true},
	}
}

// tornMark leaves half of the slot that is written.
func tornMark(s *Store) way {
	return func(write func() error) error {
		err := write()
		_, seq, read := journal.ReadMark(s.dir)
		f, torn := os.OpenFile(filepath.Join(s.dir, journal.MarkName), os.O_RDWR, 0)
		if torn == nil {
			_, torn = f.WriteAt(make([]byte, markBytes/2), int64(seq%2)*markSlotBytes+markBytes/2)
			torn = errors.Join(torn, f.Close())
		}
		return errors.Join(err, read, torn, errInjected)
	}
}

// TestFailedWriteOfAGroup fails each write that a group's acknowledgement rests on. No write of the group is acknowledged, not
// even a refusal; nothing is written any more; the store is not ready and answers as before. Opened again, after a crash or a
// stop, what was acknowledged is there, and the group is there as a whole or not at all.
func TestFailedWriteOfAGroup(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	for _, f := range groupFaults() {
		t.Run(fmt.Sprintf("%s, %s", f.at, f.name), func(t *testing.T) {
			t.Parallel()
			f.run(t)
		})
	}
}

var (
	acked   = OptOut{Number: fiction(415, 1), Scope: "acme"} // before the group, which withdraws it
	grouped = OptOut{Number: fiction(415, 2), Scope: "acme"} // by the group
	later   = OptOut{Number: fiction(415, 3), Scope: "acme"}
)

func (f *groupFault) run(t *testing.T) {
	dir, killed := t.TempDir(), t.TempDir()
	s, injector := openInjected(t, dir)
	createList(t, s, "registry", Settings{Kind: policy.ListSuppression, Scope: "other"})
	if _, err := s.RecordOptOut(context.Background(), acked, Request{Story: Story{Note: "acknowledged"}}); err != nil {
		t.Fatal(err)
	}
	view, changed := s.View(), s.StateChanged()
	f.wantNoneAcknowledged(t, s, injector)
	if injector.count(f.at) != 1 || injector.count(stepCommit) > 1 {
		t.Errorf("writes begun: %s, want none after the one that failed", injector.begun)
	}
	if st := s.State(); st.Ready() || st.Writable() || !errors.Is(st.Cause, ErrReadOnly) || !errors.Is(st.Cause, errInjected) {
		t.Errorf("state: %v, want ErrReadOnly with what failed", st.Cause)
	}
	select {
	case <-changed:
	default:
		t.Error("nobody was told that the state changed")
	}
	injector.set(nil) // the disk is well again: the outcome stays unknown
	wantNoMoreWrites(t, s)
	if len(injector.begun) > 0 {
		t.Errorf("written after a failure: %s", injector.begun)
	}
	if s.View() != view {
		t.Errorf("the view moved to revision %d", s.View().Revision())
	}
	copyTree(t, dir, filepath.Join(killed, "data"))
	closeStore(t, s)
	f.wantWhole(t, filepath.Join(killed, "data"))
	f.wantWhole(t, dir)
}

// wantNoneAcknowledged has a group fail, with one write that it would refuse and others that wait behind it.
func (f *groupFault) wantNoneAcknowledged(t *testing.T, s *Store, injector *injector) {
	t.Helper()
	release := holdCommitter(t, s)
	injector.set(failing(f.at, f.way(s)))
	writes := []*pendingEvent{
		queued(t, s, optOutEvent(grouped), Request{Story: Story{Note: "of the group"}}),
		queued(t, s, withdrawEvent(acked), Request{}),
		queued(t, s, withdrawEvent(acked), Request{}), // refused, if the group holds
	}
	rows := newBatch(context.Background(), bulkRows(0, 10))
	must(t, s.submitBatch(context.Background(), rows))
	behind := fillQueue(t, s, 2*maxGroupEvents)
	release()
	for i, w := range writes {
		if a := <-w.replies; !errors.Is(a.err, ErrReadOnly) || !errors.Is(a.err, errInjected) || a.receipt != (Receipt{}) {
			t.Errorf("write %d of the group: %+v, %v; want ErrReadOnly with what failed", i, a.receipt, a.err)
		}
	}
	must(t, s.await(context.Background(), rows))
	if outcomes, err := rows.results(); len(outcomes) != 0 || !errors.Is(err, ErrReadOnly) {
		t.Errorf("rows of a file: %d outcomes and %v; want none and ErrReadOnly", len(outcomes), err)
	}
	for i, w := range behind {
		if a := <-w.replies; !errors.Is(a.err, ErrReadOnly) {
			t.Fatalf("write %d that waited: %v, want ErrReadOnly", i, a.err)
		}
	}
}

// wantNoMoreWrites tries each kind of write.
func wantNoMoreWrites(t *testing.T, s *Store) {
	t.Helper()
	ctx := context.Background()
	for what, write := range map[string]func() error{
		"opt-out":    func() error { _, err := s.RecordOptOut(ctx, later, Request{}); return err },
		"withdrawal": func() error { _, err := s.WithdrawOptOut(ctx, acked.Number, acked.Scope, Request{}); return err },
		"many":       func() error { _, err := s.RecordOptOuts(ctx, []RecordRow{{OptOut: later}}); return err },
		"create":     func() error { _, _, err := s.CreateList(ctx, "other", usRegistry(), Request{}); return err },
		"update": func() error {
			_, _, err := s.UpdateList(ctx, listNamed(s, "registry"), setMaxAge, Request{})
			return err
		},
		"delete": func() error {
			_, err := s.DeleteList(ctx, listOf(t, s, "registry").ID, Request{Confirmed: true})
			return err
		},
		"load": func() error { _, err := s.BeginImport(header("registry", Replace)); return err },
		"file": func() error { _, err := s.BeginRecords(RecordsHeader{}); return err },
	} {
		if err := write(); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", what, err)
		}
	}
}

// wantWhole opens what the failure left behind.
func (f *groupFault) wantWhole(t *testing.T, dir string) {
	t.Helper()
	s := open(t, dir)
	if s.State().Cause != nil {
		t.Fatal("opened again:", s.State().Cause)
	}
	now, was, revision := policy.Allow, policy.Block, uint64(2)
	if f.there {
		now, was, revision = policy.Block, policy.Allow, 3
	}
	if got := s.View().Revision(); got != revision {
		t.Errorf("revision %d, want %d", got, revision)
	}
	wantVerdict(t, s, acked.Number, "acme", was, policy.CauseNone)
	wantVerdict(t, s, grouped.Number, "acme", now, policy.CauseNone)
	wantVerdict(t, s, later.Number, "acme", policy.Allow, policy.CauseNone)
	wantNotes(t, s, acked, "acknowledged", f.there)
	if f.there {
		wantNotes(t, s, grouped, "of the group", false)
	}
	if n := storiesAfter(t, s, revision); n != 0 {
		t.Errorf("%d stories of no revision", n)
	}
	if r := optOut(t, s, later.Number, "acme"); r.ID.Revision != revision+1 {
		t.Errorf("the next revision is %d, want %d", r.ID.Revision, revision+1)
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() || r.Missing.Stories > 0 {
		t.Errorf("fsck: %+v", r)
	}
}

// wantNotes holds the history of an opt-out against the note of its story.
func wantNotes(t *testing.T, s *Store, o OptOut, note string, withdrawn bool) {
	t.Helper()
	events, _, err := s.View().History(o.Number, policy.EventID{}, 10)
	want := 1
	if withdrawn {
		want = 2
	}
	if err != nil || len(events) != want || events[0].Story.Note != note || events[0].Kind != EventOptOut {
		t.Errorf("history: %+v, %v; want %d events, the first with the note %q", events, err, want, note)
	}
}

// storiesAfter counts the stories of later revisions.
func storiesAfter(t *testing.T, s *Store, revision uint64) (n int) {
	t.Helper()
	for range s.stories.Keys(revision + 1) {
		n++
	}
	return n
}

// A commit that meets damage leaves checks in doubt, as the state says: what is not found may be lost.
func TestCommitThatMeetsDamageLeavesChecksInDoubt(t *testing.T) {
	t.Parallel()
	s, i := openInjected(t, t.TempDir())
	wantVerdict(t, s, fiction(415, 2), "acme", policy.Allow, policy.CauseNone)
	i.set(failing(stepCommit, func(func() error) error { return ErrDamaged }))
	if err := record(s, 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("a write: got %v, want ErrDamaged", err)
	}
	if st := s.State(); !errors.Is(st.Cause, ErrDamaged) || st.Ready() {
		t.Errorf("state: %v, ready %v", st.Cause, st.Ready())
	}
	wantVerdict(t, s, fiction(415, 2), "acme", policy.Unknown, policy.DataDamaged)
}
