package server_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// faulty is a service whose every call panics with a number.
type faulty struct {
	dncv1.UnimplementedCheckServiceServer
}

func (faulty) CheckNumber(_ context.Context, req *dncv1.CheckNumberRequest) (*dncv1.CheckNumberResponse, error) {
	panic("cannot handle " + req.GetNumber())
}

func (faulty) StreamChecks(grpc.BidiStreamingServer[dncv1.StreamChecksRequest, dncv1.StreamChecksResponse]) error {
	none := make(map[int][]int)
	return errors.New(string(rune(none[1][14155550100])))
}

func TestPanicIsCaught(t *testing.T) {
	t.Parallel()
	log := new(syncBuffer)
	logger := slog.New(slog.NewTextHandler(log, nil))
	s, err := server.New(server.Options{Store: start(t).store})
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := s.Wrapped(logger)
	if err != nil {
		t.Fatal(err)
	}
	renamed := dncv1.CheckService_ServiceDesc
	renamed.ServiceName = "test.Faulty"
	wrapped.RegisterService(&renamed, faulty{})
	conn := serveServer(t, s)
	for range 2 { // the server lives on
		var trailer metadata.MD
		err = conn.Invoke(testContext(t), "/test.Faulty/CheckNumber", &dncv1.CheckNumberRequest{Number: listed}, &dncv1.CheckNumberResponse{}, grpc.Trailer(&trailer))
		wantReason(t, err, codes.Internal, "INTERNAL")
		wantTrailer(t, "a call that panics", err, trailer, "INTERNAL")
		stream, err := conn.NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Faulty/StreamChecks")
		if err != nil {
			t.Fatal(err)
		}
		err = stream.RecvMsg(&dncv1.StreamChecksResponse{})
		wantReason(t, err, codes.Internal, "INTERNAL")
		wantTrailer(t, "a stream that panics", err, stream.Trailer(), "INTERNAL")
	}
	if got := log.String(); !strings.Contains(got, "panic_test.go") && !strings.Contains(got, "faulty.CheckNumber") {
		t.Errorf("the log does not tell where: %s", got)
	}
	if strings.Contains(log.String(), digits(listed)) {
		t.Errorf("the log holds the number: %s", log)
	}
}

// Health and readiness follow the state in both directions.
func TestHealthFollowsTheStore(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cause error
		want  healthv1.HealthCheckResponse_ServingStatus
		state dncv1.StoreState
	}{
		{nil, healthv1.HealthCheckResponse_SERVING, dncv1.StoreState_STORE_STATE_READY},
		{store.ErrDamaged, healthv1.HealthCheckResponse_NOT_SERVING, dncv1.StoreState_STORE_STATE_DAMAGED},
		{nil, healthv1.HealthCheckResponse_SERVING, dncv1.StoreState_STORE_STATE_READY},
		{store.ErrReadOnly, healthv1.HealthCheckResponse_NOT_SERVING, dncv1.StoreState_STORE_STATE_READ_ONLY},
		{store.ErrStoriesDamaged, healthv1.HealthCheckResponse_SERVING, dncv1.StoreState_STORE_STATE_STORIES_DAMAGED},
		{store.ErrClockJumped, healthv1.HealthCheckResponse_SERVING, dncv1.StoreState_STORE_STATE_CLOCK_JUMPED},
		{store.ErrDiskFull, healthv1.HealthCheckResponse_SERVING, dncv1.StoreState_STORE_STATE_DISK_FULL},
	}
	h := server.NewHealth()
	for _, tt := range tests {
		state := store.State{Cause: tt.cause}
		server.SetHealth(h, state)
		for _, service := range []string{"", "dnc.v1.CheckService"} {
			got, err := h.Check(context.Background(), &healthv1.HealthCheckRequest{Service: service})
			if err != nil || got.GetStatus() != tt.want {
				t.Errorf("%v: %q is %v (%v), want %v", tt.cause, service, got.GetStatus(), err, tt.want)
			}
		}
		if got := server.StateOf(state); got != tt.state {
			t.Errorf("%v: got %v, want %v", tt.cause, got, tt.state)
		}
	}
}
