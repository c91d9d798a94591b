package server

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// ReasonCode is the code that an error of that reason leaves with.
func ReasonCode(r dncv1.ErrorReason) codes.Code { return codeOf(&fault{reason: r}) }

// GRPC is the server to register test services with.
func (s *Server) GRPC() grpc.ServiceRegistrar { return s.grpc }

// Wrapped registers a service as the server's own are.
func (s *Server) Wrapped(log *slog.Logger) (grpc.ServiceRegistrar, error) {
	m, err := newMetrics(prometheus.NewRegistry())
	w := s.wrapper(s.service(m, newAdmission()))
	w.log = log
	return w, err
}

// SetLoadIdle sets how long a load may be idle and keep its room, in place of a minute. On a machine however busy, another waits
// until one that is cut has left.
func (s *Server) SetLoadIdle(d time.Duration) {
	s.loads.mu.Lock()
	defer s.loads.mu.Unlock()
	s.loads.idleLimit, s.loads.quit = d, time.Hour
}

// SetMessageTime sets how long the message of a unary call may take, in place of 10 s. Call it before Serve.
func (s *Server) SetMessageTime(d time.Duration) { s.arrivals.limit = d }

// SetHealth exposes the mapping of the store's state to health.
var SetHealth = setHealth

// StateOf exposes the mapping of the store's state to the contract.
var StateOf = stateOf

// NewHealth is the health service that the server uses.
func NewHealth() *health.Server { return health.NewServer() }

// CheckHandler is CheckNumber without gRPC.
func CheckHandler(s *store.Store) (func(context.Context, *dncv1.CheckNumberRequest) (*dncv1.CheckNumberResponse, error), error) {
	m, err := newMetrics(prometheus.NewRegistry())
	return (&checkService{service: service{store: s, metrics: m, admit: newAdmission()}}).CheckNumber, err
}

// ForHTTP is the configuration of the HTTP listener.
var ForHTTP = forHTTP

// BatchHandler is CheckNumbers without gRPC.
func BatchHandler(s *store.Store) (func(context.Context, *dncv1.CheckNumbersRequest) (*dncv1.CheckNumbersResponse, error), error) {
	m, err := newMetrics(prometheus.NewRegistry())
	return (&checkService{service: service{store: s, metrics: m, admit: newAdmission()}}).CheckNumbers, err
}

// NewWorkers lends count goroutines.
func NewWorkers(count int) workers { return make(workers, count) }

// Each exposes each.
func (w workers) Each(ctx context.Context, n int, do func(int)) error { return w.each(ctx, n, do) }

// Lent is how many goroutines are lent now.
func (w workers) Lent() int { return len(w) }

// WithImport is what a stream of an import ends with for err.
func WithImport(err error) error { return withImport(err, "1") }
