package server

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/internal/policy"
)

// Sources of checks.
const (
	sourceUnary = iota
	sourceBatch
	sourceStream
	sourceCount
)

var sourceNames = [sourceCount]string{"unary", "batch", "stream"}

// verdictNames are the values of the label, by policy.Verdict. The zero verdict is an error.
var verdictNames = [...]string{"error", "allow", "block", "not_now", "unknown"}

// Kinds of writes.
const (
	writeOptOut     = "opt_out"
	writeWithdrawal = "opt_out_withdrawal"
	writeConsent    = "consent"

	writeConsentWithdrawal = "consent_withdrawal"
	writeConsentUse        = "consent_use"

	writeList       = "list"
	writeLoad       = "load"
	writeRecords    = "records_import"
	writeToken      = "token"
	writeSubscriber = "subscriber"
	writeDesk       = "desk"
	writePolicy     = "policy"
	writeAck        = "acknowledgement"
	writeComparison = "comparison"
)

// metrics counts what the services do. No label holds anything about a number.
type metrics struct {
	checks   [sourceCount][len(verdictNames)]prometheus.Counter // resolved once: a check costs one atomic addition
	writes   *prometheus.CounterVec
	refusals *prometheus.CounterVec
	panics   prometheus.Counter
	logins   *prometheus.CounterVec
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
}

// latencies are the buckets of the time that calls take, in seconds.
var latencies = []float64{50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600}

func newMetrics(reg prometheus.Registerer) (*metrics, error) {
	checks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dncd_checks_total",
		Help: "Numbers checked, by verdict and by the call they came in.",
	}, []string{"verdict", "source"})
	m := &metrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dncd_writes_total",
			Help: "Writes by kind and by result: ok, duplicate (a request_id tried again) or refused.",
		}, []string{"kind", "result"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dncd_rpc_errors_total",
			Help: "Calls that ended with an error, by method and by the reason of the contract, or canceled.",
		}, []string{"method", "reason"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "dncd_panics_total",
			Help: "Calls that ended in a panic, which was caught. Each one is a fault to report.",
		}),
	}
	m.logins = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dncd_refused_logins_total",
		Help: "Callers that were refused, by what they showed: token, certificate, tls (the handshake failed) or none.",
	}, []string{"kind"})
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dncd_requests_total",
		Help: "Calls that ended, by method and by gRPC's code.",
	}, []string{"method", "code"})
	m.latency = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "dncd_request_duration_seconds",
		Help:    "How long calls took, by method, from their arrival to their answer. Streams of checks, which stay open, are not counted.",
		Buckets: latencies,
	}, []string{"method"})
	for _, c := range []prometheus.Collector{checks, m.writes, m.refusals, m.panics, m.logins, m.requests, m.latency} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	for source, name := range sourceNames {
		for verdict, v := range verdictNames {
			m.checks[source][verdict] = checks.WithLabelValues(v, name)
		}
	}
	return m, nil
}

// callMetrics counts the calls of one method. Its counters are resolved once: a call costs two readings of the clock and a
// few atomic additions.
type callMetrics struct {
	codes   [maxCode + 1]prometheus.Counter
	latency prometheus.Observer // nil: not measured
}

// maxCode is the highest code of gRPC.
const maxCode = codes.Unauthenticated

func (m *metrics) call(method string, lasts bool) *callMetrics {
	c := new(callMetrics)
	for code := range c.codes {
		c.codes[code] = m.requests.WithLabelValues(method, codes.Code(code).String())
	}
	if !lasts {
		c.latency = m.latency.WithLabelValues(method)
	}
	return c
}

// ended counts a call that began then and ends with err.
func (c *callMetrics) ended(began time.Time, err error) {
	c.codes[min(status.Code(err), maxCode)].Inc()
	if c.latency != nil {
		c.latency.Observe(time.Since(began).Seconds())
	}
}

func (m *metrics) loginRefused(kind string) { m.logins.WithLabelValues(kind).Inc() }

func (m *metrics) checked(source int, v policy.Verdict) { m.checks[source][v].Inc() }

// tally counts the verdicts of a batch before they are added in one step.
type tally [len(verdictNames)]uint64

func (m *metrics) addTally(source int, t *tally) {
	for v, n := range t {
		if n > 0 {
			m.checks[source][v].Add(float64(n))
		}
	}
}

func (m *metrics) wrote(kind string, duplicate bool, err error) {
	result := "ok"
	switch {
	case err != nil:
		result = "refused"
	case duplicate:
		result = "duplicate"
	}
	m.writes.WithLabelValues(kind, result).Inc()
}

// refused counts a call that ended with an error. A caller that ends its call is no failure, and is counted under a
// name of its own.
func (m *metrics) refused(method string, f *fault) {
	reason := "canceled"
	if codeOf(f) != codes.Canceled {
		reason = strings.ToLower(strings.TrimPrefix(f.reason.String(), reasonPrefix))
	}
	m.refusals.WithLabelValues(method, reason).Inc()
}
