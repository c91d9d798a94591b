// Package server answers the contract dnc.v1 over gRPC, on top of package store.
//
// It promises:
//   - A check takes everything from one view of the store, loaded first. What is not known is UNKNOWN or an error, never
//     ALLOW.
//   - Every error of a method carries a google.rpc.ErrorInfo with a reason of the contract; only errors.go makes them.
//   - What the contract has and this server does not support is refused with UNSUPPORTED, never ignored.
//   - Health and /readyz follow the store in both directions.
//   - No error, log line or metric holds a number.
//
// Start reading at New, checkService.CheckNumber and the list of reasons in errors.go. docs/ARCHITECTURE.md is the map.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/dncd/dncd/internal/codec"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// Options of a server. Store is required; the rest has good zero values.
type Options struct {
	Store      *store.Store
	TLS        *tls.Config          // nil: plain text
	Registry   *prometheus.Registry // nil: one of its own; the server's metrics are added to it
	Logger     *slog.Logger         // nil: silent
	Version    string               // told by GetStats and by dncd_build_info
	Reflection bool                 // serve gRPC reflection
	Grace      time.Duration        // what is in flight has so long to end at a stop; 0: 30 s

	// Connections is how many connections of gRPC are taken at once; further ones are closed. 0: as many as come.
	Connections int
	// Capacity makes the server as slow as one that checks so many numbers a second, one after the other: for tests
	// and benchmarks of overload. 0: as fast as it is.
	Capacity int
	// ConnectionAge is when a connection, or a stream of checks, is moved: the client opens another, which may reach
	// another node. A tenth more or less is drawn for each. 0: 30 min.
	ConnectionAge time.Duration
	// Register adds services of the caller's own, without the guard that the contract's have; nil: none.
	Register func(grpc.ServiceRegistrar)
}

// Server serves one store.
type Server struct {
	opt    Options
	grpc   *grpc.Server
	health *health.Server
	conns  connections

	loads    *sharedRoom    // imports and exports
	handlers sync.WaitGroup // of streams

	draining chan struct{} // closed when a stop begins: streams that wait end
	stopping chan struct{} // closed when the grace is nearly over: streams that work end
}

// Windows are what a client may send ahead of the reading of it, in bytes. They are fixed: left to itself gRPC measures what
// a connection can take by a ping beside its messages, which costs a check on a shared stream an eighth. gRPC gives the
// connection's window back when something arrives, not when it is read, so what a connection holds unread is the
// streams' windows. That of a stream grows for a message that is being read.
const (
	streamWindow     = 256 << 10
	connectionWindow = 2 << 20
)

// loadIdle is how long an import or an export may wait for its client and keep its room when another wants it.
const loadIdle = time.Minute

// Limits of connections and messages.
const (
	maxStreams        = 256
	workersPerCore    = 32       // a goroutine made for a call spends a tenth of the call on growing its stack
	maxHeaderBytes    = 32 << 10 // of a call, as HTTP/2 counts them: gRPC tells clients, and they say it
	maxReceiveBytes   = 1 << 20
	maxSendBytes      = 4 << 20
	connectionTimeout = 10 * time.Second
	keepaliveTime     = 60 * time.Second
	keepaliveTimeout  = 20 * time.Second
	keepaliveMinTime  = 30 * time.Second
	defaultAge        = 30 * time.Minute
	connectionGrace   = time.Hour // a load or an export on an aged connection goes on for so long
	defaultGrace      = 30 * time.Second
)

// New makes a server. It serves nothing until Serve.
func New(o Options) (*Server, error) {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.ConnectionAge == 0 {
		o.ConnectionAge = defaultAge
	}
	s := &Server{opt: o, conns: connections{most: int64(o.Connections)}, health: health.NewServer(), draining: make(chan struct{}), stopping: make(chan struct{})}
	m, err := newMetrics(o.Registry)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if err := o.Registry.Register(newCollector(o.Store, o.Version)); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	admit := newAdmission()
	for _, c := range append(s.conns.metrics(), admit) {
		if err := o.Registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	s.loads = newSharedRoom(admit[workLoads], loadIdle, 0)
	base := s.service(m, admit)
	g := s.guard(base)
	s.grpc = grpc.NewServer(append(s.grpcOptions(), grpc.UnknownServiceHandler(g.unknown))...)
	g.next = s.grpc
	s.register(g, *base)
	setHealth(s.health, o.Store.State())
	return s, nil
}

func (s *Server) grpcOptions() []grpc.ServerOption {
	options := []grpc.ServerOption{
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.MaxRecvMsgSize(maxReceiveBytes),
		grpc.MaxSendMsgSize(maxSendBytes),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
		grpc.ConnectionTimeout(connectionTimeout),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: keepaliveTime, Timeout: keepaliveTimeout,
			MaxConnectionAge: s.opt.ConnectionAge, MaxConnectionAgeGrace: max(connectionGrace, 2*s.opt.ConnectionAge),
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveMinTime, PermitWithoutStream: true}),
		grpc.NumStreamWorkers(uint32(workersPerCore * runtime.GOMAXPROCS(0))),
		grpc.ForceServerCodecV2(codec.New()),
		grpc.WaitForHandlers(true), // the store closes after this
	}
	if s.opt.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(s.opt.TLS)))
	}
	return options
}

// service is what every service stands on.
func (s *Server) service(m *metrics, admit *admission) *service {
	return &service{
		store:    s.opt.Store,
		log:      s.opt.Logger,
		metrics:  m,
		admit:    admit,
		messages: newSharedRoom(admit[workStreamMessages], longStall, longStall),
		capacity: newCapacity(s.opt.Capacity),
		tokens:   newTokens(),
		draining: s.draining,
		stopping: s.stopping,
		version:  s.opt.Version,
		started:  time.Now(),

		connectionAge: s.opt.ConnectionAge,
	}
}

func (s *Server) guard(base *service) guard {
	return guard{
		next: s.grpc, base: base, log: base.log, metrics: base.metrics, admit: base.admit,
		loads:    s.loads,
		handlers: &s.handlers, memory: new(memory),
	}
}

func (s *Server) register(g guard, base service) {
	dncv1.RegisterCheckServiceServer(g, &checkService{service: base, spread: newSpread()})
	dncv1.RegisterRecordServiceServer(g, &recordService{service: base})
	dncv1.RegisterListServiceServer(g, &listService{service: base})
	dncv1.RegisterAdminServiceServer(g, &adminService{service: base})
	healthv1.RegisterHealthServer(s.grpc, endingHealth{s.health, s.draining})
	if s.opt.Register != nil {
		s.opt.Register(s.grpc)
	}
	if s.opt.Reflection {
		reflection.Register(s.grpc)
	}
}

// Serve answers gRPC on rpc and HTTP on web (nil: none) until ctx ends, then stops gracefully: health goes NOT_SERVING,
// what is in flight ends, streams get an end. It closes both listeners and is called once.
func (s *Server) Serve(ctx context.Context, rpc, web net.Listener) error {
	follow, stopFollowing := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer stopFollowing()
	tasks.Go(func() { followStore(follow, s.opt.Store, s.health) })

	failed := make(chan error, 2)
	tasks.Go(func() { failed <- s.grpc.Serve(s.conns.listener(rpc)) })
	httpServer := s.serveHTTP(web, failed, &tasks)

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	s.stop()
	return errors.Join(err, stopHTTP(httpServer))
}

func (s *Server) serveHTTP(l net.Listener, failed chan<- error, tasks *sync.WaitGroup) *http.Server {
	if l == nil {
		return nil
	}
	h := s.httpServer(l)
	l = (&connections{most: webConnections}).listener(l)
	if s.opt.TLS != nil && !Loopback(l.Addr()) {
		l = tls.NewListener(l, forHTTP(s.opt.TLS))
	}
	tasks.Go(func() {
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	})
	return h
}

const httpGrace = 2 * time.Second

func stopHTTP(h *http.Server) error {
	if h == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), httpGrace)
	defer cancel()
	if h.Shutdown(ctx) != nil {
		return h.Close()
	}
	return nil
}

// stop ends gRPC: what waits ends at once, what works has the grace, what is left is cut.
func (s *Server) stop() {
	s.health.Shutdown()
	close(s.draining)
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	if !ended(done, s.opt.Grace*4/5) {
		close(s.stopping)
		if !ended(done, s.opt.Grace/5) {
			s.opt.Logger.Warn("calls were still running at the end of the grace: cut")
			s.grpc.Stop()
		}
	}
	<-done
	s.handlers.Wait() // those of streams that were cut: the store closes after this
}

func ended(done <-chan struct{}, wait time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(wait):
		return false
	}
}
