package store

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// awaitChanges reads a feed until it has so many changes, and waits for nothing but to be woken.
func awaitChanges(ctx context.Context, f *Feed, want int, each func(*FeedChange)) error {
	for got := 0; got < want; {
		b, err := f.Read(ctx, 1<<16)
		if err != nil {
			return err
		}
		got += len(b.Changes)
		for i := range b.Changes {
			each(&b.Changes[i])
		}
		if got >= want || b.More {
			continue
		}
		select {
		case <-f.Wake():
		case <-ctx.Done():
			return fmt.Errorf("woken for %d of %d changes: %w", got, want, ctx.Err())
		}
	}
	return nil
}

// Feeds that are read while others write get every change that concerns them, once and in order, and are woken for each.
func TestFeedsFollowWriters(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	const writers, each, readers = 8, 60, 6
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	scope := func(w int) policy.Scope { return policy.Scope(fmt.Sprintf("acme/s%d", w%readers)) }
	var done sync.WaitGroup
	for w := range writers {
		done.Go(func() {
			for i := range each {
				if _, err := s.RecordOptOut(ctx, OptOut{Number: bulkRows(w*each+i, 1)[0].Number, Scope: scope(w)}, Request{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range readers + 1 {
		q, want := FeedQuery{Filter: inScopes(scope(i)), Subscriber: policy.EventID{Revision: 1}}, 0
		if i == readers {
			q.Filter = feed.Filter{}
		}
		for w := range writers {
			if q.Filter.Concerns(scope(w)) {
				want += each
			}
		}
		done.Go(func() {
			f, err := s.OpenFeed(q)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			var ids []policy.EventID
			if err := awaitChanges(ctx, f, want, func(c *FeedChange) { ids = append(ids, c.ID) }); err != nil {
				t.Errorf("reader %d: %v", i, err)
			}
			if !slices.IsSortedFunc(ids, compareIDs) || len(slices.Compact(slices.Clone(ids))) != want {
				t.Errorf("reader %d: %d changes in order, want %d, each once", i, len(ids), want)
			}
		})
	}
	done.Wait()
}

// A feed that is closed is not known to the committer any more.
func TestClosedFeedsCostNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for range 3 {
		f, err := s.OpenFeed(FeedQuery{Filter: feed.Filter{Scopes: []policy.Scope{"acme/telecom", "other"}, Lists: []policy.EventID{{Revision: 1}}}})
		must(t, err)
		f.Close()
	}
	if n := len(s.feeds.exact) + len(s.feeds.above); n != 0 {
		t.Errorf("%d topics still have feeds", n)
	}
}

// BenchmarkFeeds records 1,000 opt-outs a second, one after the other as they come, while 100 feeds follow all of them:
// -benchtime 10000x. The latency is from the answer of the write to the read of the change.
func BenchmarkFeeds(b *testing.B) {
	for _, readers := range []int{10, 100} {
		b.Run(fmt.Sprint(readers), func(b *testing.B) { benchFeeds(b, readers) })
	}
}

func benchFeeds(b *testing.B, readers int) {
	s := open(b, b.TempDir())
	ctx := context.Background()
	answered := make([]atomic.Int64, b.N)
	late := make([][]time.Duration, readers)
	var read, wrote sync.WaitGroup
	for i := range readers {
		f := openFeed(b, s, FeedQuery{Subscriber: policy.EventID{Revision: 1, Index: uint32(i)}})
		read.Go(func() {
			err := awaitChanges(ctx, f, b.N, func(c *FeedChange) {
				if at := answered[uint64(c.Number)-12_012_000_000].Load(); at > 0 {
					late[i] = append(late[i], time.Duration(time.Now().UnixNano()-at))
				} else {
					late[i] = append(late[i], 0) // it was read before its write was answered
				}
			})
			if err != nil {
				b.Error(err)
			}
		})
	}
	before := processorTime(b)
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		if wait := time.Until(start.Add(time.Duration(i) * time.Millisecond)); wait > 0 {
			time.Sleep(wait)
		}
		wrote.Go(func() {
			_, err := s.RecordOptOut(ctx, OptOut{Number: phone.Number(12_012_000_000 + i), Scope: "acme"}, Request{})
			answered[i].Store(time.Now().UnixNano())
			if err != nil {
				b.Error(err)
			}
		})
	}
	wrote.Wait()
	read.Wait()
	all := slices.Concat(late...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms-median")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms-p99")
	b.ReportMetric(float64(b.N*readers)/b.Elapsed().Seconds(), "deliveries/s")
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.Elapsed())*100/float64(runtime.NumCPU()), "cpu-%")
}

// BenchmarkIdleFeeds records opt-outs while 1,000 feeds wait for what never comes.
func BenchmarkIdleFeeds(b *testing.B) {
	for _, idle := range []int{0, 1000} {
		b.Run(fmt.Sprint(idle), func(b *testing.B) {
			s := open(b, b.TempDir())
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			for i := range idle {
				f := openFeed(b, s, FeedQuery{Filter: inScopes(policy.Scope(fmt.Sprintf("base/s%d", i))), Subscriber: policy.EventID{Revision: 1}})
				if _, err := f.Read(context.Background(), 1<<16); err != nil {
					b.Fatal(err)
				}
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			for i := 0; b.Loop(); i++ {
				optOut(b, s, phone.Number(12_012_000_000+i), "acme/telecom")
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(max(1, idle)), "B/feed")
			if len(s.feeds.woken) > 0 {
				b.Error("feeds were woken")
			}
		})
	}
}
