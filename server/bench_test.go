package server_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/codec"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

const inFlight = 64

// emptyService answers nothing to nothing: what gRPC itself costs on the same server.
var emptyService = grpc.ServiceDesc{
	ServiceName: "test.Empty",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Call",
		Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			return new(emptypb.Empty), dec(new(emptypb.Empty))
		},
	}},
}

// BenchmarkUnary compares CheckNumber with an empty unary call: 64 in flight on two connections over loopback TCP, on
// one server, taking turns of 2,000 calls within one run. "ratio" is the median of the turns' ratios of rates; its
// target is at least 0.90. "cpu-ratio" is that of processor time, which neighbours on the machine disturb less.
// "p99-ratio" is over all calls; its target is at most 1.2.
func BenchmarkUnary(b *testing.B) {
	n := withRegistry(b)
	s, err := server.New(server.Options{Store: n.store})
	if err != nil {
		b.Fatal(err)
	}
	s.GRPC().RegisterService(&emptyService, nil)
	conns := connectTwice(b, serveServer(b, s).Target())
	empty := func(r *rand.Rand) error {
		return conns[r.IntN(2)].Invoke(context.Background(), "/test.Empty/Call", new(emptypb.Empty), new(emptypb.Empty))
	}
	t := takeTurns(b, empty, checks(context.Background(), conns))
	b.ReportMetric(medianRatio(t.spent[0], t.spent[1]), "ratio")
	b.ReportMetric(medianRatio(t.cpu[0], t.cpu[1]), "cpu-ratio")
	b.ReportMetric(float64(quantile(t.took[1], 0.99))/float64(quantile(t.took[0], 0.99)), "p99-ratio")
	for i, unit := range []string{"empty/s", "checks/s"} {
		b.ReportMetric(turnCalls/quantile(t.spent[i], 0.5).Seconds(), unit)
	}
	b.ReportMetric(0, "ns/op")
}

// tokenOfDialer grants the role checker at acme to a new token.
func tokenOfDialer(b *testing.B, n *node) string {
	b.Helper()
	token := tokenOf(1)
	_, _, err := n.store.CreateGrant(context.Background(), access.Grant{
		Name: "dialer", Kind: access.Token, Secret: access.SecretOf(token), Roles: access.RolesOf(access.Checker), Scopes: []policy.Scope{"acme"},
	}, store.Request{})
	if err != nil {
		b.Fatal(err)
	}
	return token
}

// BenchmarkUnaryWithToken compares CheckNumber with a token, on a server that requires one, with CheckNumber on a server
// that asks for nothing, as BenchmarkUnary does. "cpu-ratio" is the processor time of the former by the latter; its
// target is at most 1.03.
func BenchmarkUnaryWithToken(b *testing.B) {
	n := withRegistry(b)
	token := tokenOfDialer(b, n)
	var calls [2]func(*rand.Rand) error
	for i, auth := range []server.Auth{server.AuthOff, server.AuthRequired} {
		s, err := server.New(server.Options{Store: n.store, Auth: auth})
		if err != nil {
			b.Fatal(err)
		}
		ctx := context.Background()
		if auth == server.AuthRequired {
			ctx = showing(ctx, token)
		}
		calls[i] = checks(ctx, connectTwice(b, serveServer(b, s).Target()))
	}
	t := takeTurns(b, calls[0], calls[1])
	b.ReportMetric(medianRatio(t.cpu[1], t.cpu[0]), "cpu-ratio")
	b.ReportMetric(medianRatio(t.spent[1], t.spent[0]), "time-ratio")
	b.ReportMetric(0, "ns/op")
}

func connectTwice(b *testing.B, target string) []*grpc.ClientConn {
	b.Helper()
	var conns []*grpc.ClientConn
	for range 2 {
		c, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec.New())))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		conns = append(conns, c)
	}
	return conns
}

// checks returns a call that checks one of many numbers, made beforehand: the client is not what is compared.
func checks(ctx context.Context, conns []*grpc.ClientConn) func(*rand.Rand) error {
	asked := make([]*dncv1.CheckNumberRequest, 1<<14)
	for i := range asked {
		asked[i] = &dncv1.CheckNumberRequest{Number: fmt.Sprintf("+14165%06d", rand.IntN(1e6)), Scope: "acme"}
	}
	return func(r *rand.Rand) error {
		return conns[r.IntN(len(conns))].Invoke(ctx, dncv1.CheckService_CheckNumber_FullMethodName, asked[r.IntN(len(asked))], new(dncv1.CheckNumberResponse))
	}
}

// turns are what two kinds of calls took: spent and cpu of each turn, took of each call.
type turns struct{ spent, cpu, took [2][]time.Duration }

const turnCalls = 2000

// takeTurns makes calls of two kinds, a turn of each after the other.
func takeTurns(b *testing.B, calls ...func(*rand.Rand) error) (t turns) {
	b.Helper()
	b.ReportAllocs()
	for done := 0; done < b.N || done == 0; done += turnCalls {
		for i, call := range calls {
			start, used := time.Now(), cpuTime(b)
			each, err := together(turnCalls, call)
			if err != nil {
				b.Fatal(err)
			}
			t.spent[i] = append(t.spent[i], time.Since(start))
			t.cpu[i] = append(t.cpu[i], cpuTime(b)-used)
			t.took[i] = append(t.took[i], each...)
		}
	}
	return t
}

// medianRatio is the median of a[i] by b[i].
func medianRatio(a, b []time.Duration) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = float64(a[i]) / float64(b[i])
	}
	return quantile(ratios, 0.5)
}

// quantile sorts values.
func quantile[T cmp.Ordered](values []T, q float64) T {
	slices.Sort(values)
	return values[int(q*float64(len(values)-1))]
}

// cpuTime is what this process has used, client and server together.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// together makes calls calls, inFlight at a time, and returns what each took.
func together(calls int, call func(*rand.Rand) error) ([]time.Duration, error) {
	var next atomic.Int64
	took := make([]time.Duration, calls)
	var failed atomic.Value
	var wg sync.WaitGroup
	for i := range inFlight {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for n := next.Add(1) - 1; n < int64(calls); n = next.Add(1) - 1 {
				start := time.Now()
				if err := call(r); err != nil {
					failed.Store(err)
					return
				}
				took[n] = time.Since(start)
			}
		})
	}
	wg.Wait()
	err, _ := failed.Load().(error)
	return took, err
}

// BenchmarkCheckHandler is a unary check without gRPC around it.
func BenchmarkCheckHandler(b *testing.B) {
	n := withRegistry(b)
	check, err := server.CheckHandler(n.store)
	if err != nil {
		b.Fatal(err)
	}
	for name, number := range map[string]string{"allow": unlisted, "block": listed, "canada": canadian} {
		b.Run(name, func(b *testing.B) {
			req := &dncv1.CheckNumberRequest{Number: number, Scope: "acme"}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := check(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBatch checks 1,000 numbers a call over loopback.
func BenchmarkBatch(b *testing.B) {
	n := withRegistry(b)
	req := &dncv1.CheckNumbersRequest{E164: numbers(1000), Scope: "acme"}
	ctx := context.Background()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.check.CheckNumbers(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "numbers/s")
}

// BenchmarkStream checks numbers on one stream over loopback, with up to eight messages on their way. Read "numbers/s" of
// the sizes against each other within one run.
func BenchmarkStream(b *testing.B) {
	n := withRegistry(b)
	for _, kind := range []struct {
		name  string
		first uint64
	}{{"allow", 14155550150}, {"block", 14155550050}} {
		for _, size := range []uint64{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, size), func(b *testing.B) {
				req := new(dncv1.StreamChecksRequest)
				for id := range size {
					c := ofDigits(id, kind.first+id%50)
					c.Scope = "acme"
					req.Checks = append(req.Checks, c)
				}
				benchmarkStream(b, n, req)
			})
		}
	}
}

// benchmarkStream sends req b.N times.
func benchmarkStream(b *testing.B, n *node, req *dncv1.StreamChecksRequest) {
	s, err := n.check.StreamChecks(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ahead := make(chan struct{}, 8)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		for range b.N {
			ahead <- struct{}{}
			if s.Send(req) != nil {
				return
			}
		}
	}()
	for range b.N {
		if _, err := s.Recv(); err != nil {
			b.Fatal(err)
		}
		<-ahead
	}
	b.ReportMetric(float64(b.N*len(req.GetChecks()))/b.Elapsed().Seconds(), "numbers/s")
	s.CloseSend()
}
