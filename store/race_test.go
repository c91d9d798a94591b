package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// crowd is everything that goes on at once in a busy store, until stop is closed.
type crowd struct {
	t       *testing.T
	s       *Store
	stop    chan struct{}
	wg      sync.WaitGroup
	written [4]writtenBy
	checks  atomic.Uint64
	loads   atomic.Uint64
}

// writtenBy is what one writer had acknowledged: so many numbers, in order, and the revision of the newest.
type writtenBy struct {
	count    atomic.Uint64
	revision atomic.Uint64
}

// The list changes between two contents that share one number.
var (
	contentA = registryNumbers(6001)[:3001]
	contentB = registryNumbers(6001)[3000:]
)

func (c *crowd) running() bool {
	select {
	case <-c.stop:
		return false
	default:
		return !c.t.Failed()
	}
}

// loop calls step until the end.
func (c *crowd) loop(step func()) {
	c.wg.Go(func() {
		for c.running() {
			step()
		}
	})
}

func writersNumber(writer int, i uint64) phone.Number {
	return phone.Number(12_122_000_000 + uint64(writer)*1_000_000 + i*7)
}

func (c *crowd) write(writer int) {
	w := &c.written[writer]
	i := w.count.Load()
	r, err := c.s.RecordOptOut(context.Background(), OptOut{Number: writersNumber(writer, i), Scope: "acme"}, Request{})
	if err != nil {
		c.t.Error("record opt-out:", err)
		return
	}
	w.revision.Store(r.ID.Revision)
	w.count.Store(i + 1)
}

// check looks at a number that was opted out before, in the newest view. Guarantee 1.
func (c *crowd) check() {
	writer := rand.IntN(len(c.written))
	count := c.written[writer].count.Load()
	if count == 0 {
		return
	}
	n := writersNumber(writer, rand.Uint64N(count))
	if d := verdict(c.s.View(), n, "acme/telecom", c.s.Now()); d.Verdict != policy.Block {
		c.t.Errorf("a number opted out before: verdict %d cause %d, want BLOCK", d.Verdict, d.Cause)
	}
	c.checks.Add(1)
}

// checkPast looks at the newest number of a writer as of its own revision, past the filters.
func (c *crowd) checkPast() {
	w := &c.written[0]
	count, revision := w.count.Load(), w.revision.Load()
	if count == 0 {
		return
	}
	v, err := c.s.ViewAt(revision)
	if err != nil {
		c.t.Error(err)
		return
	}
	if d := verdict(v, writersNumber(0, count-1), "acme", v.Time()); d.Verdict != policy.Block {
		c.t.Errorf("as of its own revision: verdict %d, want BLOCK", d.Verdict)
	}
}

// checkList sees one content or the other, whole. Guarantee 6.
func (c *crowd) checkList() {
	v := c.s.View()
	l, err := v.List("a")
	if err != nil {
		c.t.Error(err)
		return
	}
	k := rand.IntN(3000)
	inA := membershipOf(v, l, numberOf(contentA[k]))
	both := membershipOf(v, l, numberOf(contentA[3000]))
	inB := membershipOf(v, l, numberOf(contentB[1+k]))
	if inA.Listed == inB.Listed || !both.Listed || inA.Damaged || inB.Damaged {
		c.t.Errorf("in A %v, in B %v, in both %v, want one whole content", inA.Listed, inB.Listed, both.Listed)
	}
	c.checks.Add(1)
}

func (c *crowd) exportList() {
	v := c.s.View()
	l, err := v.List("a")
	if err != nil {
		c.t.Error(err)
		return
	}
	if got := exportList(c.t, v, l); !slices.Equal(got, contentA) && !slices.Equal(got, contentB) {
		c.t.Errorf("an export of %d numbers is neither content", len(got))
	}
}

func (c *crowd) replaceList() {
	contents := [2][]uint64{contentA, contentB}
	load(c.t, c.s, "a", Replace, contents[c.loads.Add(1)%2], Commit{})
}

// rebuild makes the records' filter anew, and saves it.
func (c *crowd) rebuild() {
	if err := c.s.rebuildRecordsFilter(); err != nil {
		c.t.Error("rebuild:", err)
	}
	c.s.saveRecordsFilter()
}

// churn creates, changes and deletes other lists.
func (c *crowd) churn() {
	ctx := context.Background()
	l, _, err := c.s.CreateList(ctx, "churn", usRegistry("1415"), Request{})
	if err != nil {
		c.t.Error("create list:", err)
		return
	}
	_, _, updated := c.s.UpdateList(ctx, listNamed(c.s, "churn"), func(settings *Settings) { settings.MaxAgeDays = 31 }, Request{})
	_, deleted := c.s.DeleteList(ctx, l.ID, Request{Confirmed: true})
	if err := errors.Join(updated, deleted); err != nil {
		c.t.Error("churn:", err)
	}
	c.s.Stats()
}

// busy reports whether everything has happened, and the list changed back and forth.
func (c *crowd) busy() bool {
	return c.checks.Load() > 0 && c.loads.Load() >= 2 && c.written[0].count.Load() > 0
}

// Checks, writes, replacements of a list, a filter rebuilt and saved, all at once.
func TestAllAtOnce(t *testing.T) { // alone: it looks for goroutines that stay
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	s := open(t, dir)
	createList(t, s, "a", usRegistry())
	load(t, s, "a", Replace, contentA, Commit{})
	c := &crowd{t: t, s: s, stop: make(chan struct{})}
	for writer := range c.written {
		c.loop(func() { c.write(writer) })
	}
	for _, step := range []func(){c.check, c.check, c.checkPast, c.checkList, c.checkList, c.exportList, c.replaceList, c.rebuild, c.churn} {
		c.loop(step)
	}
	time.Sleep(1200 * time.Millisecond)
	// On a busy machine enough has not happened by then.
	for deadline := time.Now().Add(time.Minute); !c.busy() && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	close(c.stop)
	c.wg.Wait()
	if !c.busy() {
		t.Errorf("%d checks, %d loads: too little happened", c.checks.Load(), c.loads.Load())
	}
	t.Logf("%d checks, %d loads, revision %d", c.checks.Load(), c.loads.Load(), s.View().Revision())
	c.wantAllBlocked()
	closeStore(t, s)
	c.s = open(t, dir)
	c.wantAllBlocked()
	closeStore(t, c.s)
}

// wantAllBlocked checks every number that was acknowledged.
func (c *crowd) wantAllBlocked() {
	for writer := range c.written {
		for i := range c.written[writer].count.Load() {
			wantVerdict(c.t, c.s, writersNumber(writer, i), "acme", policy.Block, policy.CauseNone)
		}
	}
}

// A full chain of the records' filter is replaced by itself, while numbers come in.
func TestRecordsFilterGrowsBehindTheScenes(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	numbers := registryNumbers(3 * minRecordsCapacity)
	first := numbers[0]
	optOut(t, s, phone.Number(first), "")
	before := s.View().records
	before.AddAll(numbers) // as if so many had come since it was made
	if !before.NeedsRebuild() {
		t.Fatal("the filter does not ask for a rebuild")
	}
	deadline := time.Now().Add(2 * time.Minute)
	for k := 1; s.View().records == before; k++ {
		if time.Now().After(deadline) {
			t.Fatal("the filter was not rebuilt")
		}
		optOut(t, s, phone.Number(numbers[k]), "")
		wantVerdict(t, s, phone.Number(numbers[k]), "", policy.Block, policy.CauseNone)
	}
	v := s.View()
	if got := v.Revision(); v.records.Len() > 2*got || v.records.NeedsRebuild() {
		t.Errorf("the new filter says %d numbers, want about %d", v.records.Len(), got)
	}
	for k := range v.Revision() {
		wantVerdict(t, s, phone.Number(numbers[k]), "", policy.Block, policy.CauseNone)
	}
}

// Close waits for a load that is being compared, which ends with an error.
func TestCloseAwaitsAComparison(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	createList(t, s, "a", usRegistry())
	i := begin(t, s, header("a", Replace))
	put(t, i, 1, registryNumbers(1000)...)
	closed := make(chan struct{})
	var once sync.Once
	_, err := i.Commit(context.Background(), Commit{Chunks: 1, Read: 1000}, func(Progress) {
		once.Do(func() {
			go func() {
				closeStore(t, s)
				close(closed)
			}()
			select {
			case <-closed:
				t.Error("closed while a load is being compared")
			case <-time.After(100 * time.Millisecond):
			}
		})
	})
	if !errors.Is(err, ErrClosed) {
		t.Errorf("the load: %v, want ErrClosed", err)
	}
	<-closed
}

// Close while writes and loads are under way: each ends with an answer, and what was acknowledged is there.
func TestCloseInTheMiddle(t *testing.T) {
	t.Parallel()
	for round := range 4 {
		dir := t.TempDir()
		s := open(t, dir)
		for k := range 3 {
			createList(t, s, fmt.Sprint("list", k), usRegistry())
		}
		acknowledged := make([]uint64, 8)
		var wg sync.WaitGroup
		for writer := range acknowledged {
			wg.Go(func() {
				for {
					_, err := s.RecordOptOut(context.Background(), OptOut{Number: writersNumber(writer, acknowledged[writer])}, Request{})
					if err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						return
					}
					acknowledged[writer]++
				}
			})
		}
		loaded := make([]int, 3)
		for k := range loaded {
			wg.Go(func() {
				for {
					i, err := s.BeginImport(header(fmt.Sprint("list", k), Replace))
					if err != nil {
						t.Error(err)
						return
					}
					_, err = commit(i, registryNumbers(20_000+loaded[k]+1), Commit{})
					i.Close()
					if err != nil {
						if !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
							t.Error("load:", err)
						}
						return
					}
					loaded[k]++
				}
			})
		}
		time.Sleep(time.Duration(50+40*round) * time.Millisecond)
		closeStore(t, s)
		wg.Wait()
		s = open(t, dir)
		for writer, count := range acknowledged {
			for i := range count {
				wantVerdict(t, s, writersNumber(writer, i), "", policy.Block, policy.CauseNone)
			}
		}
		for k, loads := range loaded {
			name := fmt.Sprint("list", k)
			awaitIdle(t, s, name)
			if got := len(export(t, s, name)); loads > 0 && got != 20_000+loads && got != 20_000+loads+1 {
				t.Errorf("%s holds %d numbers after %d loads", name, got, loads)
			}
		}
		closeStore(t, s)
	}
}
