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
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/dncd/dncd/internal/codec"
	"github.com/dncd/dncd/internal/feed"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// Options of a server. Store is required. The other fields have good zero values.
type Options struct {
	Store      *store.Store
	TLS        *tls.Config          // nil: plain text
	Registry   *prometheus.Registry // the server adds its metrics to it; nil: one of its own
	Logger     *slog.Logger         // nil: no log
	Version    string               // reported by GetStats and by dncd_build_info
	Reflection bool                 // serve gRPC reflection
	Auth       Auth                 // what callers have to show; the zero value asks for nothing
	SigningKey feed.SigningKey      // signs checkpoints; the zero value: they are not signed
	Grace      time.Duration        // how long calls in flight may run after a stop begins; 0: 30 s

	// Connections is the limit of concurrent gRPC connections. Further ones are closed immediately. 0: no limit.
	Connections int
	// ConnectionAge is when a connection, or a stream of checks, is ended so that the client opens another, which may
	// reach another node. It varies by up to a tenth. 0: 30 min.
	ConnectionAge time.Duration
}

// Server serves one store.
type Server struct {
	opt    Options
	grpc   *grpc.Server
	health *health.Server
	conns  connections

	loads    *sharedRoom    // imports and exports
	watches  *sharedRoom    // streams of changes
	arrivals *arrivals      // of the messages of unary calls
	handlers sync.WaitGroup // of streams
	auth     *authenticator
	granted  openStreams // that end with their caller's grant
	presence *presence   // of subscribers

	draining chan struct{} // closed when a stop begins: waiting streams end
	stopping chan struct{} // closed when the grace is nearly over: working streams end
}

// Windows are how many bytes a client may send before the server reads them. They are fixed. Otherwise gRPC would
// measure each connection by pings beside its messages, which makes a check on a shared stream an eighth slower. gRPC
// returns the connection's window when data arrives, not when it is read, so the streams' windows bound the unread data
// of a connection. A stream's window grows while a message is being read.
const (
	streamWindow     = 256 << 10
	connectionWindow = 2 << 20
)

// loadIdle is how long an import, an export or a stream of changes may wait for its client and keep its room while another needs it.
const loadIdle = time.Minute

// Limits of connections and messages.
const (
	maxStreams        = 256
	workersPerCore    = 32       // a new goroutine spends a tenth of a call on growing its stack
	maxHeaderBytes    = 32 << 10 // of a call, as HTTP/2 counts them; gRPC reports the limit to clients
	maxReceiveBytes   = 1 << 20
	maxSendBytes      = 4 << 20
	connectionTimeout = 10 * time.Second
	keepaliveTime     = 60 * time.Second
	keepaliveTimeout  = 20 * time.Second
	keepaliveMinTime  = 30 * time.Second
	defaultAge        = 30 * time.Minute
	connectionGrace   = time.Hour // how long an import or an export may continue on an aged connection
	defaultGrace      = 30 * time.Second
)

// New makes a server. It serves nothing until Serve is called.
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
	s := &Server{opt: o, conns: connections{most: int64(o.Connections)}, health: health.NewServer(), presence: newPresence(), draining: make(chan struct{}), stopping: make(chan struct{})}
	m, err := newMetrics(o.Registry)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	admit := newAdmission()
	if err := s.expose(admit); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s.loads, s.arrivals = newSharedRoom(admit[workLoads], loadIdle, 0), newArrivals()
	s.watches = newSharedRoom(admit[workWatches], loadIdle, 0)
	base := s.service(m, admit)
	s.auth = &authenticator{
		mode: o.Auth, store: o.Store, metrics: m, tarpit: newTarpit(s.draining),
		refused: newRefusals(o.Logger), acts: newRefusals(o.Logger),
	}
	w := s.wrapper(base)
	s.grpc = grpc.NewServer(append(s.grpcOptions(), grpc.UnknownServiceHandler(w.unknown))...)
	w.next = s.grpc
	s.register(w, *base)
	setHealth(s.health, o.Store.State())
	return s, nil
}

// expose registers the metrics that are read at each scrape.
func (s *Server) expose(admit *admission) error {
	all := append(s.conns.metrics(), admit, newCollector(s.opt.Store, s.opt.Version), newLagCollector(s.opt.Store, s.presence))
	if s.opt.TLS != nil {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "dncd_tls_certificate_expiry_timestamp_seconds",
			Help: "When the server's certificate ends.",
		}, func() float64 { return float64(certificateEnd(s.opt.TLS).Unix()) }))
	}
	for _, c := range all {
		if err := s.opt.Registry.Register(c); err != nil {
			return err
		}
	}
	return nil
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
		grpc.WaitForHandlers(true), // the store is closed after the handlers have ended
	}
	if s.opt.TLS != nil {
		options = append(options, grpc.Creds(newWatchedTLS(s.opt.TLS, s.auth.refusedTLS)))
	}
	return options
}

// service makes what all services share.
func (s *Server) service(m *metrics, admit *admission) *service {
	return &service{
		store:    s.opt.Store,
		log:      s.opt.Logger,
		metrics:  m,
		admit:    admit,
		messages: newSharedRoom(admit[workStreamMessages], longStall, longStall),
		tokens:   newTokens(),
		draining: s.draining,
		stopping: s.stopping,
		version:  s.opt.Version,
		started:  time.Now(),

		connectionAge: s.opt.ConnectionAge,
	}
}

func (s *Server) wrapper(base *service) wrapper {
	return wrapper{
		next: s.grpc, base: base, log: base.log, metrics: base.metrics, admit: base.admit,
		loads:    s.loads,
		watches:  s.watches,
		handlers: &s.handlers, arrivals: s.arrivals, memory: new(memory),
		auth: s.auth, granted: &s.granted,
	}
}

func (s *Server) register(w wrapper, base service) {
	dncv1.RegisterCheckServiceServer(w, &checkService{service: base, workers: newWorkers()})
	dncv1.RegisterRecordServiceServer(w, &recordService{service: base})
	dncv1.RegisterListServiceServer(w, &listService{service: base})
	dncv1.RegisterAdminServiceServer(w, &adminService{service: base})
	dncv1.RegisterAccessServiceServer(w, &accessService{service: base, auth: s.auth})
	dncv1.RegisterPolicyServiceServer(w, &policyService{service: base})
	dncv1.RegisterAuditServiceServer(w, &auditService{service: base})
	dncv1.RegisterPropagationServiceServer(w, &propagationService{service: base, auth: s.auth, key: s.opt.SigningKey, presence: s.presence, turns: newTurns()})
	healthv1.RegisterHealthServer(s.grpc, endingHealth{s.health, s.draining})
	if s.opt.Reflection {
		reflection.Register(knownCallers{s.grpc, s.auth})
	}
}

// Serve answers gRPC on rpc and HTTP on web (nil: none) until ctx ends. Then it stops gracefully: health becomes
// NOT_SERVING, calls in flight end, and streams are ended. It closes both listeners. It is called once.
func (s *Server) Serve(ctx context.Context, rpc, web net.Listener) error {
	follow, stopFollowing := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer stopFollowing()
	tasks.Go(func() { followStore(follow, s.opt.Store, s.health) })
	tasks.Go(func() { s.arrivals.watch(follow) })
	tasks.Go(func() { s.auth.endRevoked(follow.Done(), &s.granted) })

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

// stop ends gRPC. Waiting calls end immediately, working calls have the grace, and what remains is cut.
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
	s.handlers.Wait() // handlers of streams that were cut: the store is closed after this
}

func ended(done <-chan struct{}, wait time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(wait):
		return false
	}
}
