package client_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/dncd/dncd/client"
)

// BenchmarkCheck compares checks that share messages with unary ones, by callers and
// connections. Server and client are in one process.
func BenchmarkCheck(b *testing.B) {
	addr := serve(b)
	numbers := make([]string, 4096)
	for i := range numbers {
		numbers[i] = numberAt(i)
	}
	for _, callers := range []int{1, 64, 256, 1024} {
		for _, connections := range []int{1, 2, 4} {
			for _, way := range []string{"shared", "unary"} {
				opts := []client.Option{client.WithConnections(connections)}
				if way == "unary" {
					opts = append(opts, client.WithUnaryChecks())
				}
				b.Run(fmt.Sprintf("%s/callers=%d/connections=%d", way, callers, connections), func(b *testing.B) {
					c := connect(b, addr, opts...)
					benchmarkCheck(b, c, callers, numbers)
				})
			}
		}
	}
}

func benchmarkCheck(b *testing.B, c *client.Client, callers int, numbers []string) {
	b.ReportAllocs()
	before := processorTime(b)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				if _, err := c.Check(context.Background(), numbers[i%int64(len(numbers))]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
	if sum := total(c); sum.Messages > 0 {
		b.ReportMetric(float64(sum.Checks)/float64(sum.Messages), "checks/message")
	}
}

// processorTime is what this process has used, in ns: the measure that a busy machine leaves alone.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
