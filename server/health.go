package server

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// checkedServices are the services whose health is reported separately, besides "" for all.
var checkedServices = []string{
	"",
	dncv1.CheckService_ServiceDesc.ServiceName,
	dncv1.RecordService_ServiceDesc.ServiceName,
	dncv1.ListService_ServiceDesc.ServiceName,
	dncv1.AdminService_ServiceDesc.ServiceName,
	dncv1.AccessService_ServiceDesc.ServiceName,
	dncv1.PropagationService_ServiceDesc.ServiceName,
}

// followStore keeps health in step with the store's state, in both directions, until ctx ends.
func followStore(ctx context.Context, s *store.Store, h *health.Server) {
	for {
		changed := s.StateChanged() // before the state is read, so that no change is missed
		setHealth(h, s.State())
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// setHealth lets AdminService serve in every state. The other services serve while the store is ready: neither a full
// disk nor damage to stories stops checks and reads.
func setHealth(h *health.Server, state store.State) {
	serving := healthv1.HealthCheckResponse_NOT_SERVING
	if state.Ready() {
		serving = healthv1.HealthCheckResponse_SERVING
	}
	for _, name := range checkedServices {
		if name == dncv1.AdminService_ServiceDesc.ServiceName {
			h.SetServingStatus(name, healthv1.HealthCheckResponse_SERVING)
			continue
		}
		h.SetServingStatus(name, serving)
	}
}

// healthLinger is how long a watcher of health has to receive NOT_SERVING before its stream ends at shutdown.
const healthLinger = 200 * time.Millisecond

// endingHealth ends the watches of health at shutdown. Without it they would delay a graceful stop.
type endingHealth struct {
	*health.Server
	draining <-chan struct{}
}

// Watch implements healthv1.HealthServer.
func (h endingHealth) Watch(req *healthv1.HealthCheckRequest, stream grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		select {
		case <-h.draining:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(healthLinger):
		case <-ctx.Done():
		}
		cancel()
	}()
	return h.Server.Watch(req, watchStream{stream, ctx})
}

// watchStream is a stream with another context.
type watchStream struct {
	grpc.ServerStreamingServer[healthv1.HealthCheckResponse]
	ctx context.Context
}

func (s watchStream) Context() context.Context { return s.ctx }
