package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/encoding/prototext"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

// answersOf describes what a response says about each number, from the index on.
func answersOf(resp *dncv1.CheckNumbersResponse, from int) []string {
	out := make([]string, len(resp.GetVerdicts()))
	for i, v := range resp.GetVerdicts() {
		out[i] = fmt.Sprint(i+from, " ", v)
	}
	for _, d := range resp.GetDetails() {
		out[d.GetIndex()] += fmt.Sprint(" ", d.GetCause(), d.GetValidUntil().AsTime(), d.GetError().GetReason())
		for _, at := range d.GetReasonIndexes() {
			out[d.GetIndex()] += " " + prototext.MarshalOptions{Multiline: false}.Format(resp.GetReasons()[at])
		}
	}
	return out
}

// unspaced takes away the spaces that prototext varies by program.
func unspaced(s string) string {
	return string(slices.DeleteFunc([]byte(s), func(c byte) bool { return c == ' ' }))
}

// A batch of 10,000, which is answered in parts, gives the same answers as batches of one part, and as single checks.
func TestLargeBatchAgreesWithSmallOnes(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	n := withRegistry(t)
	n.optOut(french, "acme")
	n.optOut("+14155550199", "acme/telecom")
	n.optOut("+14155550120", "acme") // listed too
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]uint64, 10_000)
	kinds := []uint64{0, 14155550000, 18185550100, 33199001234, 14165550100, 1234, 14155550120, 14155550199}
	for i := range all {
		if all[i] = kinds[r.IntN(len(kinds))]; all[i] == 14155550000 {
			all[i] += r.Uint64N(300)
		}
	}
	for _, scope := range []string{"", "acme/telecom", "other"} {
		large, err := n.check.CheckNumbers(testContext(t), &dncv1.CheckNumbersRequest{E164: all, Scope: scope})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(large.GetDetails(), func(a, b *dncv1.CheckDetail) int { return int(a.GetIndex()) - int(b.GetIndex()) }) {
			t.Error("details are not by ascending index")
		}
		got := answersOf(large, 0)
		for _, size := range []int{1000, 2000, 1} {
			for from := 0; from < min(len(all), 50*size); from += size {
				small, err := n.check.CheckNumbers(testContext(t), &dncv1.CheckNumbersRequest{E164: all[from : from+size], Scope: scope})
				if err != nil {
					t.Fatal(err)
				}
				for i, want := range answersOf(small, from) {
					if unspaced(got[from+i]) != unspaced(want) {
						t.Fatalf("%d numbers at %q: got %s, in %d: %s", len(all), scope, got[from+i], size, want)
					}
				}
			}
		}
	}
}

// Batches of strings give each number as it was read, also in parts.
func TestLargeBatchOfStrings(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	written := make([]string, 9000)
	for i := range written {
		if written[i] = fmt.Sprintf("+1415555%04d", i); i%7 == 0 {
			written[i] = "nonsense"
		}
	}
	got, err := n.check.CheckNumbers(testContext(t), &dncv1.CheckNumbersRequest{Numbers: written})
	if err != nil {
		t.Fatal(err)
	}
	for i, e164 := range got.GetE164() {
		if want := uint64(14155550000 + i); i%7 == 0 && e164 != 0 || i%7 != 0 && e164 != want {
			t.Fatalf("item %d is given as %d", i, e164)
		}
	}
	if len(got.GetE164()) != len(written) {
		t.Errorf("%d numbers are given for %d", len(got.GetE164()), len(written))
	}
}

// Details after the first of a kind cost only the detail.
func TestBatchAllocatesNothingANumber(t *testing.T) {
	n := withRegistry(t)
	handler, err := server.BatchHandler(n.store)
	if err != nil {
		t.Fatal(err)
	}
	allocations := func(numbers []uint64) float64 {
		req := &dncv1.CheckNumbersRequest{E164: numbers, Scope: "acme"}
		return testing.AllocsPerRun(20, func() {
			if _, err := handler(context.Background(), req); err != nil {
				t.Error(err)
			}
		})
	}
	all := make([]uint64, 0, 2000)
	for i := range uint64(cap(all)) { // listed, clear and uncovered
		all = append(all, []uint64{14155550050, 14155550000, 18185550000}[i%3]+i%50)
	}
	if few, many := allocations(all[:100]), allocations(all); many > few+20 {
		t.Errorf("%v allocations for %d numbers, %v for 100", many, len(all), few)
	}
}

func TestWorkersDoEachOnce(t *testing.T) {
	t.Parallel()
	for lent := range 4 {
		w := server.NewWorkers(lent)
		var batches sync.WaitGroup
		var working, most atomic.Int64
		for range 3 {
			batches.Go(func() {
				done := make([]atomic.Int64, 50)
				err := w.Each(context.Background(), len(done), func(i int) {
					now := working.Add(1)
					for before := most.Load(); now > before && !most.CompareAndSwap(before, now); before = most.Load() {
					}
					runtime.Gosched()
					done[i].Add(1)
					working.Add(-1)
				})
				for i := range done {
					if err != nil || done[i].Load() != 1 {
						t.Errorf("%d was done %d times, %v", i, done[i].Load(), err)
					}
				}
			})
		}
		batches.Wait()
		if most.Load() > int64(3+lent) {
			t.Errorf("%d worked at once for 3 batches with %d lent", most.Load(), lent)
		}
		if w.Lent() != 0 {
			t.Errorf("%d were not given back", w.Lent())
		}
	}
}

func TestWorkersEndWithTheirContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	var done, after atomic.Int64
	w := server.NewWorkers(1)
	err := w.Each(ctx, 1000, func(int) {
		if ctx.Err() != nil { // the end came between the check of it and this call
			after.Add(1)
		}
		if done.Add(1) == 10 {
			cancel()
		}
	})
	if err == nil || after.Load() > 1 || w.Lent() != 0 {
		t.Errorf("%d were begun after the end by the one goroutine beside the caller, %v", after.Load(), err)
	}
}

// A panic in a goroutine that was lent is the caller's, whose wrapper catches it.
func TestWorkersPanicWhereTheyWereCalled(t *testing.T) {
	t.Parallel()
	w := server.NewWorkers(1)
	var both sync.WaitGroup
	both.Add(2)
	defer func() {
		if p := recover(); p != "in the other" || w.Lent() != 0 {
			t.Errorf("recovered %v with %d lent", p, w.Lent())
		}
	}()
	_ = w.Each(context.Background(), 2, func(int) {
		both.Done()
		both.Wait() // the caller does one, and the one that was lent the other
		if !strings.Contains(string(debug.Stack()), t.Name()+"(") {
			panic("in the other")
		}
	})
}
