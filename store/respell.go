package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/nice"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/apply"
	"github.com/dncd/dncd/store/internal/badgerdir"
	"github.com/dncd/dncd/store/internal/block"
	"github.com/dncd/dncd/store/internal/fault"
	"github.com/dncd/dncd/store/internal/keys"
	"github.com/dncd/dncd/store/internal/stage"
	"github.com/dncd/dncd/store/internal/state"
)

// Versions before 2026-11-29 stored some numbers of the French plan under other digits: see phone.Number.Former. Checks and histories
// know both. Feeds, withdrawals and loads know the present digits alone. So a store that is opened looks for former spellings, which
// takes a few seeks, and stores what it finds under the present digits, through the journal: bases get it as ordinary changes.
//
//   - An opt-out in force is recorded under the present digits, and withdrawn under the former ones, in this order and in one revision if
//     there is room. It keeps its id, times and story.
//   - A list gets a load, made by the server, that replaces the numbers.
//
// What a process that is killed leaves undone, the next one does. Until all is done no feed is given out that would lack something.

// respelling is what is not done yet.
type respelling struct {
	mu      sync.Mutex
	optOuts bool
	lists   map[policy.EventID]bool
}

// add notes that a list holds former spellings.
func (r *respelling) add(list policy.EventID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lists == nil {
		r.lists = map[policy.EventID]bool{}
	}
	r.lists[list] = true
}

// FeedReady returns ErrFeedNotReady while something that concerns a filter is stored under former spellings alone.
func (s *Store) FeedReady(f feed.Filter) error {
	r := &s.respelling
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.optOuts || slices.ContainsFunc(f.Lists, func(id policy.EventID) bool { return r.lists[id] }) {
		return ErrFeedNotReady
	}
	return nil
}

// startRespelling looks for former spellings, and replaces them in the background.
func (s *Store) startRespelling() {
	if err := s.findFormer(s.View()); err != nil {
		s.noteDamage(err)
		return
	}
	if s.respelling.optOuts {
		s.run(func() { s.untilRespelled("opt-outs", s.respellOptOuts) })
	}
}

func (s *Store) startRespellingList(l *List) {
	s.run(func() { s.untilRespelled("list "+l.Name, func() error { return s.respellListOnceFree(l.ID) }) })
}

// findFormer notes what the view has under former spellings, and starts with the lists.
func (s *Store) findFormer(v *View) (err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := s.db.NewTransactionAt(v.revision, false)
	defer txn.Discard()
	now, ahead := v.Clock()
	for _, err := range formerNumbers(txn, 0, now.Add(-ahead).UnixNano()) {
		if err != nil {
			return err
		}
		s.respelling.optOuts = true
		break
	}
	for _, l := range v.lists {
		found, err := s.formerOnList(l, 1)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			s.respelling.add(l.ID)
			s.startRespellingList(l)
		}
	}
	return nil
}

// untilRespelled tries again every second until something is respelled, or cannot be before the next start.
func (s *Store) untilRespelled(what string, respell func() error) {
	s.log.Info("storing numbers of an earlier version under their present digits; feeds that they concern wait", "of", what)
	for waits := false; ; waits = true {
		err := s.opt.faults.do(stepRespell, respell)
		if err == nil {
			s.log.Info("all numbers are stored under their present digits", "of", what)
			return
		}
		if s.isClosing() {
			return // the next start continues
		}
		final := isFinal(err) || errors.Is(err, ErrDamaged)
		if !waits || final {
			s.log.Error("numbers of an earlier version stay under other digits, and feeds that they concern stop; checks continue", "of", what, "err", err)
		}
		if final || s.pause(context.Background(), time.Second) != nil {
			return
		}
	}
}

// formerNumbers yields the former spellings, from a number on, under which an opt-out is in force at a time, ascending.
func formerNumbers(txn *badger.Txn, from phone.Number, now int64) iter.Seq2[phone.Number, error] {
	return func(yield func(phone.Number, error) bool) {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{keys.KindRecords}})
		defer it.Close()
		for it.Seek(keys.Records(uint64(from))); it.Valid(); {
			n := phone.Number(keys.Number(it.Item().Key()))
			if at := phone.NextFormer(n); at == 0 {
				return
			} else if at != n {
				it.Seek(keys.Records(uint64(at)))
				continue
			}
			holds, err := holdsFormer(it.Item(), n, now)
			if (holds || err != nil) && !yield(n, err) || err != nil {
				return
			}
			it.Next()
		}
	}
}

// holdsFormer reports whether a number is a former spelling, and its records hold an opt-out in force.
func holdsFormer(item *badger.Item, n phone.Number, now int64) (holds bool, err error) {
	if _, isFormer := n.Present(); !isFormer {
		return false, nil
	}
	var set storev1.RecordSet
	err = item.Value(func(b []byte) error { return state.Decode(item.Key(), b, &set) })
	return slices.ContainsFunc(set.GetRecords(), func(r *storev1.Record) bool {
		return isOptOut(r) && (r.GetExpiresAt() == 0 || now < r.GetExpiresAt())
	}), err
}

func isOptOut(r *storev1.Record) bool { return policy.RecordKind(r.GetKind()) == policy.RecordOptOut }

// respellOptOuts respells all opt-outs, a revision at a time.
func (s *Store) respellOptOuts() error {
	for from := phone.Number(0); ; {
		var err error
		if !s.between(func() { from, err = s.respellGroup(from) }) {
			return ErrClosed
		}
		if err != nil {
			return err
		}
		if from == 0 {
			break
		}
	}
	s.respelling.mu.Lock()
	defer s.respelling.mu.Unlock()
	s.respelling.optOuts = false
	return nil
}

// respellGroup respells, from a former spelling on, what there is room for in one revision, and returns the first that is left; 0:
// none. It runs in the committer.
func (s *Store) respellGroup(from phone.Number) (left phone.Number, err error) {
	if err := s.writableNow(); err != nil {
		return from, err
	}
	g := s.newGroup()
	defer g.txn.Discard()
	if left, err = g.respell(from); err != nil {
		return from, err
	}
	return left, g.commit()
}

func (g *group) respell(from phone.Number) (left phone.Number, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	txn := g.s.db.NewTransactionAt(g.base.revision, false)
	defer txn.Discard()
	for n, err := range formerNumbers(txn, from, g.a.Time-g.a.Ahead) {
		if err != nil {
			g.s.noteDamage(err)
			return n, err
		}
		if full, err := g.respellNumber(n); err != nil || full {
			return n, err
		}
	}
	return 0, nil
}

// respellNumber respells the opt-outs of a former spelling, unless the group is full before. To repeat it does no harm: what the
// number holds is not recorded again.
func (g *group) respellNumber(former phone.Number) (full bool, err error) {
	present, _ := former.Present()
	set, err := g.a.Records(uint64(former))
	if err != nil {
		g.s.noteDamage(err)
		return false, err
	}
	var scopes []string
	for _, r := range set.GetRecords() {
		if !isOptOut(r) {
			continue
		}
		if g.full() {
			return true, nil
		}
		if err := g.takeOwn(&storev1.Event{Change: &storev1.Event_OptOut{OptOut: respelledOptOut(present, former, r)}}); err != nil {
			return false, err
		}
		if !slices.Contains(scopes, r.GetScope()) {
			scopes = append(scopes, r.GetScope())
		}
	}
	for _, scope := range scopes {
		if g.full() {
			return true, nil
		}
		w := &storev1.OptOutWithdrawn{Number: uint64(former), Scope: scope, Respelled: uint64(present)}
		if err := g.takeOwn(&storev1.Event{Change: &storev1.Event_OptOutWithdrawn{OptOutWithdrawn: w}}); err != nil {
			return false, err
		}
	}
	return false, nil
}

// respelledOptOut records an opt-out, as it is stored under a former spelling, under the present digits.
func respelledOptOut(present, former phone.Number, r *storev1.Record) *storev1.OptOut {
	return &storev1.OptOut{
		Number: uint64(present), Scope: r.GetScope(), Channel: r.GetChannel(), ReceivedAt: r.GetReceivedAt(), ExpiresAt: r.GetExpiresAt(),
		Respelled: &storev1.Respelled{
			Former: uint64(former), Recorded: state.Ref(state.RecordID(r)), RecordedAt: r.GetRecordedAt(), StoryHash: r.GetStoryHash(), Story: r.GetStory(),
		},
	}
}

// takeOwn takes an event for which nobody waits. Errors: what refused it, or ended the group.
func (g *group) takeOwn(e *storev1.Event) error {
	w := &pendingEvent{ctx: context.Background(), event: e, replies: make(chan eventReply, 1)}
	if err := errors.Join(w.encode(), g.take(w)); err != nil {
		return err
	}
	return g.taken[len(g.taken)-1].refusal
}

// maxRespelled is how many numbers of a list one load replaces.
const maxRespelled = 1 << 20

// formerOnList returns the first former spellings on a list, about as many as asked for.
func (s *Store) formerOnList(l *List, enough int) (found []phone.Number, err error) {
	defer badgerdir.CatchDamage(debug.SetPanicOnFault(true), &err)
	if l.ContentRevision == 0 {
		return nil, nil
	}
	c := s.newBlockCursor(l, l.ContentRevision)
	defer c.close()
	var b listBlock
	for at := phone.NextFormer(0); at != 0 && len(found) < enough; {
		c.it.Seek(keys.Block(l.ID, uint64(at)>>block.Bits))
		stored, more := c.peek()
		if !more {
			break
		}
		first := phone.Number(stored.number << block.Bits)
		if phone.NextFormer(first)>>block.Bits == first>>block.Bits {
			if _, err := c.read(&b); err != nil {
				return nil, err
			}
			found = appendFormer(found, &b)
		}
		at = phone.NextFormer(first + block.Mask + 1)
	}
	return found, nil
}

func appendFormer(found []phone.Number, b *listBlock) []phone.Number {
	for n := range b.bits.Numbers(b.number) {
		if _, isFormer := phone.Number(n).Present(); isFormer {
			found = append(found, phone.Number(n))
		}
	}
	return found
}

// respellListOnceFree respells a list as soon as no load has it.
func (s *Store) respellListOnceFree(id policy.EventID) error {
	ctx, release, err := s.locks.LockList(context.Background(), id)
	if err != nil {
		return err
	}
	defer release()
	nice.Goroutine()
	if err := s.respellList(ctx, id); err != nil {
		return err
	}
	s.respelling.mu.Lock()
	defer s.respelling.mu.Unlock()
	delete(s.respelling.lists, id)
	return nil
}

// respellSwitched respells a list, which the caller has locked, after it has switched to what may be a content of an earlier version.
// If that fails, feeds wait until it succeeds.
func (s *Store) respellSwitched(ctx context.Context, id policy.EventID) {
	err := s.opt.faults.do(stepRespell, func() error { return s.respellList(ctx, id) })
	l := s.View().listByID(id)
	if err == nil || l == nil || s.isClosing() {
		return
	}
	s.respelling.add(id)
	s.startRespellingList(l)
}

// respellList loads a list, which the caller has locked, with the present digits in place of former spellings, if it has any. The load
// ends with another look. Settings, snapshot date and coverage stay.
func (s *Store) respellList(ctx context.Context, id policy.EventID) error {
	l := s.View().listByID(id)
	if l == nil {
		return nil
	}
	former, err := s.formerOnList(l, maxRespelled)
	if err != nil || len(former) == 0 {
		return err
	}
	load, err := s.respellLoad(ctx, l, former)
	if err != nil {
		return err
	}
	receipt, err := s.submitPrepared(ctx, l, load, Request{})
	if errors.Is(err, fault.ErrMoved) { // its settings were changed
		return s.respellList(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("list %s: %w", l.Name, err)
	}
	_, err = s.finishLoad(ctx, id, receipt.ID.Revision, func(Progress) {})
	return err
}

// respellLoad is the load that replaces former spellings. Its content is a delta.
func (s *Store) respellLoad(ctx context.Context, l *List, former []phone.Number) (*storev1.Load, error) {
	entries := make([]uint64, 0, 2*len(former))
	for _, n := range former {
		present, _ := n.Present()
		entries = append(entries, deltaEntry(uint64(n), true), deltaEntry(uint64(present), false))
	}
	slices.Sort(entries)
	if err := s.writableFor(8 * int64(len(entries))); err != nil {
		return nil, err
	}
	load := apply.WithoutSources(l.state.GetLoad())
	load.ImportId, load.Mode, load.Digest = newImportID(), storev1.LoadMode_LOAD_MODE_RESPELL, nil
	staged, err := s.writeContent(l.ID, filepath.Join(s.dir, stageDir, load.GetImportId()), func(w *stage.Writer) error { return w.Add(entries) })
	if err != nil {
		return nil, err
	}
	in := loadInput{list: l, at: l.ContentRevision, mode: Respell, staged: staged.path, sha: staged.sha[:]}
	cmp, err := s.compare(ctx, in, nil, func(uint64) {})
	if err != nil {
		return nil, err
	}
	load.Content, load.Result, load.Numbers, load.Outside = staged.sha[:], cmp.Result, cmp.Numbers(), &cmp.Outside
	load.Counts = &storev1.Counts{Read: staged.numbers, Accepted: staged.numbers, Added: cmp.Added, Removed: cmp.Removed, Unchanged: cmp.Unchanged}
	load.Rejects, load.Overridden, load.Failures, load.RevertedTo = nil, nil, nil, 0
	return load, nil
}
