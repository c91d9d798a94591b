package server_test

import (
	"context"
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

var (
	batchStored  = flag.Uint64("server.n", 1_000_000, "numbers on the list of BenchmarkBatches")
	batchPercent = flag.Uint64("server.listed", 1, "per cent of the checked numbers that are on it")
	batchSize    = flag.Int("server.batch", 1000, "numbers a call")
)

// storedNumber is the i-th number of a list that opens area codes in turn and holds 740,000 of each: one in ten of
// 7.4 million that follow each other. The nine between them are on no list.
func storedNumber(i uint64) uint64 {
	const perArea = 740_000
	return (1200+i/perArea)*10_000_000 + 2_000_000 + i%perArea*10
}

// withStored serves a store whose list holds -server.n numbers.
func withStored(b *testing.B) *node {
	b.Helper()
	n := startIn(b, b.TempDir(), store.Options{MinFree: -1, BlockCache: 1 << 30})
	n.createList(&dncv1.CreateListRequest{
		Name: "us-ftc", Kind: dncv1.ListKind_LIST_KIND_REGISTRY, Jurisdiction: []string{"us", "ca"},
		MaxAge: durationpb.New(31 * 24 * time.Hour),
	})
	i, err := n.store.BeginImport(store.Header{List: "us-ftc", Mode: store.Replace, Guards: store.Guards{MaxShrink: -1, MaxRejects: -1}})
	if err != nil {
		b.Fatal(err)
	}
	defer i.Close()
	const chunk = 10_000
	for from := uint64(0); from < *batchStored; from += chunk {
		numbers := make([]uint64, 0, chunk)
		for at := from; at < min(from+chunk, *batchStored); at++ {
			numbers = append(numbers, storedNumber(at))
		}
		if err := i.Put(store.Chunk{Seq: i.LastChunk() + 1, Numbers: numbers}); err != nil {
			b.Fatal(err)
		}
	}
	commit := store.Commit{Chunks: i.LastChunk(), Read: *batchStored, SnapshotDate: policy.DateOf(testDay)}
	if _, err := i.Commit(context.Background(), commit, func(store.Progress) {}); err != nil {
		b.Fatal(err)
	}
	return n
}

// randomBatches makes batches of random numbers. -server.listed per cent of them are on the list.
func randomBatches(count int) []*dncv1.CheckNumbersRequest {
	r := rand.New(rand.NewPCG(1, 2))
	batches := make([]*dncv1.CheckNumbersRequest, count)
	for i := range batches {
		numbers := make([]uint64, *batchSize)
		for j := range numbers {
			numbers[j] = storedNumber(r.Uint64N(*batchStored))
			if r.Uint64N(100) >= *batchPercent {
				numbers[j] += 1 + r.Uint64N(9)
			}
		}
		batches[i] = &dncv1.CheckNumbersRequest{E164: numbers, Scope: "acme"}
	}
	return batches
}

// BenchmarkBatches checks random numbers, 1,000 a call: by the handler only, and through gRPC from four callers on
// loopback with client and server in this process. An op is a call. -server.n, -server.listed, -server.batch.
func BenchmarkBatches(b *testing.B) {
	n := withStored(b)
	batches := randomBatches(2000)
	for _, req := range batches { // blocks come into the cache, filters are built
		if _, err := n.check.CheckNumbers(context.Background(), req); err != nil {
			b.Fatal(err)
		}
	}
	handler, err := server.BatchHandler(n.store)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("handler", func(b *testing.B) {
		perNumber(b, 1, batches, handler)
	})
	b.Run("grpc", func(b *testing.B) {
		perNumber(b, 4, batches, func(ctx context.Context, req *dncv1.CheckNumbersRequest) (*dncv1.CheckNumbersResponse, error) {
			return n.check.CheckNumbers(ctx, req)
		})
	})
}

func perNumber(b *testing.B, callers int, batches []*dncv1.CheckNumbersRequest,
	check func(context.Context, *dncv1.CheckNumbersRequest) (*dncv1.CheckNumbersResponse, error),
) {
	b.ReportAllocs()
	used := cpuTime(b)
	var next atomic.Int64
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if _, err := check(context.Background(), batches[i%int64(len(batches))]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	numbers := float64(b.N) * float64(*batchSize)
	b.ReportMetric(numbers/b.Elapsed().Seconds(), "numbers/s")
	b.ReportMetric(float64(cpuTime(b)-used)/numbers, "cpu-ns/number")
}
