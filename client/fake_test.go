package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

type checkServerStream = grpc.BidiStreamingServer[dncv1.StreamChecksRequest, dncv1.StreamChecksResponse]

// scripted answers checks so that an answer tells what number it is of, on streams that
// behave as a test needs it and as dncd cannot be made to.
type scripted struct {
	dncv1.UnimplementedCheckServiceServer
	stream  func(checkServerStream) error
	streams atomic.Int64
	unary   atomic.Int64
	refuse  atomic.Int64 // so many calls and checks to come are OVERLOADED
	refused atomic.Int64
	health  *health.Server
	details []*dncv1.CheckDetail // of each batch
}

func (s *scripted) StreamChecks(stream checkServerStream) error {
	s.streams.Add(1)
	return s.stream(stream)
}

// serving sets what the health service says.
func (s *scripted) serving(yes bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if yes {
		status = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus(dncv1.CheckService_ServiceDesc.ServiceName, status)
}

func (s *scripted) CheckNumber(_ context.Context, req *dncv1.CheckNumberRequest) (*dncv1.CheckNumberResponse, error) {
	s.unary.Add(1)
	if s.refuses() {
		return nil, errOverloaded
	}
	n, err := phone.Parse(req.GetNumber())
	if err != nil {
		return nil, err
	}
	return &dncv1.CheckNumberResponse{
		Number: n.E164(), Verdict: scriptedVerdict(n), Reasons: []*dncv1.Reason{{List: n.E164()}}, Position: &dncv1.Position{Revision: 1},
		ValidUntil: &timestamppb.Timestamp{Seconds: int64(n)},
	}, nil
}

// CheckNumbers answers ALLOW, or is refused.
func (s *scripted) CheckNumbers(_ context.Context, req *dncv1.CheckNumbersRequest) (*dncv1.CheckNumbersResponse, error) {
	if s.refuses() {
		return nil, errOverloaded
	}
	allow := []dncv1.Verdict{dncv1.Verdict_VERDICT_ALLOW}
	return &dncv1.CheckNumbersResponse{Verdicts: slices.Repeat(allow, len(req.GetE164())), Details: s.details}, nil
}

// scriptedRecords records nothing, and refuses as s does.
type scriptedRecords struct {
	dncv1.UnimplementedRecordServiceServer
	s *scripted
}

func (r *scriptedRecords) RecordOptOut(context.Context, *dncv1.RecordOptOutRequest) (*dncv1.RecordOptOutResponse, error) {
	if r.s.refuses() {
		return nil, errOverloaded
	}
	return &dncv1.RecordOptOutResponse{Position: &dncv1.Position{Revision: 1}}, nil
}

// refuses reports whether a call or check is one to be refused.
func (s *scripted) refuses() bool {
	if s.refuse.Add(-1) < 0 {
		s.refuse.Store(-1)
		return false
	}
	s.refused.Add(1)
	return true
}

var errOverloaded = func() error {
	s, err := status.New(codes.ResourceExhausted, "busy").WithDetails(&errdetails.ErrorInfo{Reason: "OVERLOADED", Domain: "dncd"})
	if err != nil {
		panic(err)
	}
	return s.Err()
}()

// refusing answers each message at once, and refuses the checks that are to be.
func (s *scripted) refusing(stream checkServerStream) error {
	for {
		req, err := stream.Recv()
		if err != nil {
			return ofEnd(err)
		}
		m := answer(req.GetChecks())
		for _, a := range m.GetAnswers() {
			if s.refuses() {
				refuse(a, dncv1.ErrorReason_ERROR_REASON_OVERLOADED)
			}
		}
		if err := stream.Send(m); err != nil {
			return err
		}
	}
}

// refuse makes an answer an error.
func refuse(a *dncv1.StreamAnswer, reason dncv1.ErrorReason) {
	a.Verdict, a.ReasonIndexes = dncv1.Verdict_VERDICT_UNSPECIFIED, nil
	a.Error = &dncv1.ItemError{Reason: reason}
}

func scriptedVerdict(n phone.Number) dncv1.Verdict {
	if n%2 == 0 {
		return dncv1.Verdict_VERDICT_ALLOW
	}
	return dncv1.Verdict_VERDICT_BLOCK
}

// tells fails the test unless a result is that of the number.
func tells(t *testing.T, number string, r client.Result) {
	t.Helper()
	n, err := phone.Parse(number)
	if err != nil {
		t.Fatal(err)
	}
	callable := n%2 == 0
	if r.Number != n.E164() || r.Callable() != callable || len(r.Reasons) != 1 || r.Reasons[0].List != n.E164() || r.ValidUntil.Unix() != int64(n) {
		t.Errorf("of %s got %+v", number, r)
	}
}

// answer is the message that answers checks, in any order.
func answer(checks []*dncv1.StreamCheck) *dncv1.StreamChecksResponse {
	m := &dncv1.StreamChecksResponse{Position: &dncv1.Position{Revision: 1}, CheckedAt: timestamppb.Now()}
	for _, i := range rand.Perm(len(checks)) {
		check := checks[i]
		n := phone.Number(check.GetE164())
		if text := check.GetNumber(); text != "" {
			n, _ = phone.Parse(text)
		}
		m.Reasons = append(m.Reasons, &dncv1.Reason{List: n.E164()})
		m.Answers = append(m.Answers, &dncv1.StreamAnswer{
			Id: check.GetId(), Verdict: scriptedVerdict(n), ReasonIndexes: []uint32{uint32(len(m.Reasons) - 1)},
			ValidUntil: &timestamppb.Timestamp{Seconds: int64(n)}, E164: uint64(n),
		})
	}
	return m
}

// promptly answers each message at once.
func promptly(stream checkServerStream) error {
	for {
		req, err := stream.Recv()
		if err != nil {
			return ofEnd(err)
		}
		if err := stream.Send(answer(req.GetChecks())); err != nil {
			return err
		}
	}
}

// ofEnd is no error when the client has ended the stream.
func ofEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// after answers so many messages and then ends with err, whatever is on its way.
func after(messages int, end error) func(checkServerStream) error {
	return func(stream checkServerStream) error {
		for range messages {
			req, err := stream.Recv()
			if err != nil {
				return ofEnd(err)
			}
			if err := stream.Send(answer(req.GetChecks())); err != nil {
				return err
			}
		}
		return end
	}
}

// wildly answers each check after a wait of its own, and some twice.
func wildly(stream checkServerStream) error {
	var mu sync.Mutex
	var tasks sync.WaitGroup
	defer tasks.Wait()
	send := func(m *dncv1.StreamChecksResponse) {
		mu.Lock()
		defer mu.Unlock()
		_ = stream.Send(m) // the stream may be broken by now, as it is meant to be
	}
	for {
		req, err := stream.Recv()
		if err != nil {
			return ofEnd(err)
		}
		for part := req.GetChecks(); len(part) > 0; {
			n := 1 + rand.IntN(len(part))
			some := part[:n]
			part = part[n:]
			wait := rand.N(10 * time.Millisecond)
			tasks.Go(func() {
				select {
				case <-time.After(wait):
				case <-stream.Context().Done():
					return
				}
				m := answer(some)
				send(m)
				if rand.IntN(4) == 0 {
					send(m)
				}
			})
		}
	}
}

// holding keeps all checks unanswered until release is closed.
func holding(release <-chan struct{}) func(checkServerStream) error {
	return func(stream checkServerStream) error {
		var held []*dncv1.StreamCheck
		asked := make(chan []*dncv1.StreamCheck)
		go func() {
			defer close(asked)
			for {
				req, err := stream.Recv()
				if err != nil {
					return
				}
				select {
				case asked <- req.GetChecks():
				case <-stream.Context().Done():
					return
				}
			}
		}()
		for {
			select {
			case checks, ok := <-asked:
				if !ok {
					return nil
				}
				held = append(held, checks...)
			case <-release:
				if err := stream.Send(answer(held)); err != nil {
					return err
				}
				for checks := range asked {
					if err := stream.Send(answer(checks)); err != nil {
						return err
					}
				}
				return nil
			case <-stream.Context().Done():
				return nil
			}
		}
	}
}

// script serves checks as stream says.
func script(t testing.TB, stream func(checkServerStream) error, opts ...grpc.ServerOption) (*scripted, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{stream: stream, health: health.NewServer()}
	g := grpc.NewServer(opts...)
	dncv1.RegisterCheckServiceServer(g, s)
	dncv1.RegisterRecordServiceServer(g, &scriptedRecords{s: s})
	healthv1.RegisterHealthServer(g, s.health)
	s.serving(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = g.Serve(l)
	}()
	t.Cleanup(func() {
		g.Stop()
		<-done
	})
	return s, l.Addr().String()
}

// numberAt is a number for each i below ten million.
func numberAt(i int) string { return fmt.Sprintf("+1415%07d", 2000000+i%8000000) }
