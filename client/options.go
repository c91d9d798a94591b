package client

import (
	"crypto/tls"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	defaultTimeout     = 2 * time.Second
	defaultConnections = 2
)

// Option changes how a Client works. Options are given to New.
type Option func(*options)

type options struct {
	scope        string
	user         string
	timeout      time.Duration
	connections  int
	budget       int // tokens for retries
	waitForReady bool
	insecure     bool
	unary        bool                        // no shared streams of checks
	streamLife   time.Duration               // of a shared stream
	maxPending   int                         // checks of one stream that are not answered
	feedSilence  time.Duration               // after which a stream of a feed is opened again
	tls          func() (*tls.Config, error) // nil: plain text
	token        *bearer                     // nil: none
	dial         []grpc.DialOption           // the caller's
}

// WithScope sets the scope of checks that name none themselves, that of GetNumber among them. It applies only
// to checks: opt-outs and lists always name their own.
func WithScope(scope string) Option { return func(o *options) { o.scope = scope } }

// WithUser sets who opt-outs are recorded and lists are loaded for, as stated to the
// server. The name of a token or a client certificate takes precedence.
func WithUser(name string) Option { return func(o *options) { o.user = name } }

// WithTimeout sets how long a call may take whose context has no deadline. The
// default is 2 s; zero or less keeps it.
func WithTimeout(d time.Duration) Option {
	return func(o *options) {
		if d > 0 {
			o.timeout = d
		}
	}
}

// WithConnections sets how many connections are kept, 2 by default. Unary calls take
// them in turn; one connection carries some ten thousand of those a second. Shared checks
// take a second one only when the first has hundreds in flight. 2 to 8 a process are plenty.
func WithConnections(n int) Option { return func(o *options) { o.connections = max(1, n) } }

// WithRetryBudget sets how many tokens there are for retries, 100 by default; all calls of
// the client share them. A failure that could be retried takes one, a success returns a
// tenth, and while no more than half are left a read that fails is not retried. With 0 no
// read is ever retried. Stats reports how many are left.
func WithRetryBudget(tokens int) Option { return func(o *options) { o.budget = max(0, tokens) } }

// WithWaitForReady makes calls wait for a connection until their deadline
// instead of failing with ErrUnavailable while there is none.
func WithWaitForReady() Option { return func(o *options) { o.waitForReady = true } }

// WithUnaryChecks makes each Check a call of its own. Otherwise concurrent checks share
// the messages of a stream, which costs a third and adds no wait.
func WithUnaryChecks() Option { return func(o *options) { o.unary = true } }

// WithTLS encrypts the connection. A nil config means TLS 1.3 with the system's
// root certificates.
func WithTLS(config *tls.Config) Option {
	return func(o *options) { o.tls = func() (*tls.Config, error) { return config, nil } }
}

// WithTLSFiles encrypts the connection with certificates in PEM files: ca holds
// the roots that sign the server's certificate (empty: the system's), cert and
// key are this client's own (both empty: none).
func WithTLSFiles(ca, cert, key string) Option {
	return func(o *options) { o.tls = func() (*tls.Config, error) { return loadTLS(ca, cert, key) } }
}

// WithInsecure allows plain text to a target that is not on this machine, where
// New otherwise asks for TLS. Numbers and verdicts can then be read on the way.
func WithInsecure() Option { return func(o *options) { o.insecure = true } }

// WithDialOptions adds options of gRPC to the client's own, such as interceptors, credentials
// of each call, or the stats handler of OpenTelemetry. They take precedence over the
// client's own. The target still needs WithTLS, WithTLSFiles or WithInsecure, as New says.
// Concurrent checks share a stream, so an interceptor sees that stream and
// not each Check; WithUnaryChecks makes each a call. Messages hold numbers: do not log them.
func WithDialOptions(opts ...grpc.DialOption) Option {
	return func(o *options) { o.dial = append(o.dial, opts...) }
}

// CheckOption changes a check: Scope, Region, AtLeast, AsOf, At, Logged, ForPurpose, Explain, InPlace and RecordUse make one.
type CheckOption interface{ applyCheck(*callOptions) }

// ReadOption changes another read of a number: Region, AtLeast, AsOf, At and Logged make one.
type ReadOption interface{ applyRead(*callOptions) }

// NumberOption changes GetNumber: each ReadOption and Scope, ForPurpose and InPlace, which are for its Check, make one.
type NumberOption interface{ applyNumber(*callOptions) }

// ExportOption changes an export of opt-outs: Scope, AtLeast, AsOf, At and Logged make one.
type ExportOption interface{ applyExport(*callOptions) }

// ScopeOption is what Scope makes, for checks, GetNumber and exports of opt-outs.
type ScopeOption struct{ scope string }

// Scope says for whom the call would be: it overrides WithScope. The empty scope
// names none, and is blocked by opt-outs and lists at any scope.
func Scope(scope string) ScopeOption { return ScopeOption{scope} }

func (s ScopeOption) applyCheck(o *callOptions)  { o.scope, o.scopeSet = s.scope, true }
func (s ScopeOption) applyNumber(o *callOptions) { s.applyCheck(o) }
func (s ScopeOption) applyExport(o *callOptions) { s.applyCheck(o) }

// RegionOption is what Region makes, for calls that take a number as text.
type RegionOption struct{ code string }

// Region says how national forms are read, as an ISO 3166-1 code such as "FR".
// It never overrides a country code.
func Region(code string) RegionOption { return RegionOption{code} }

func (r RegionOption) applyCheck(o *callOptions)  { o.region = r.code }
func (r RegionOption) applyRead(o *callOptions)   { r.applyCheck(o) }
func (r RegionOption) applyNumber(o *callOptions) { r.applyCheck(o) }

// RecordUseOption is what RecordUse makes, for Check.
type RecordUseOption struct{}

// RecordUse has the server record that an answer relies on consents, before it answers Allow. If it cannot, the answer is Unknown
// with CauseUseNotRecorded. Such a check is a call of its own. Only Check takes it, no check of many numbers.
func RecordUse() RecordUseOption { return RecordUseOption{} }

func (RecordUseOption) applyCheck(o *callOptions) { o.recordUse = true }

// AtLeastOption is what AtLeast makes, for every read.
type AtLeastOption struct{ position Position }

// AtLeast asks for an answer from that position or a later one: what a write returned. The
// call waits for it within its deadline, otherwise ErrRevisionNotReached; with another
// journal ErrJournalChanged, and with another history of that journal ErrJournalForked. An empty
// JournalID or Tag is not compared. The zero Position asks for nothing.
func AtLeast(p Position) AtLeastOption { return AtLeastOption{p} }

func (a AtLeastOption) applyCheck(o *callOptions)  { o.atLeast = a.position }
func (a AtLeastOption) applyRead(o *callOptions)   { a.applyCheck(o) }
func (a AtLeastOption) applyNumber(o *callOptions) { a.applyCheck(o) }
func (a AtLeastOption) applyExport(o *callOptions) { a.applyCheck(o) }

// AsOfOption is what AsOf makes, for every read.
type AsOfOption struct{ now time.Time }

// AsOf asks for the answer that would have been given at a time in the past, from what was recorded by then. It replaces AtLeast.
// Errors: ErrHistoryGone for a time before the journal begins, or where revisions are lost: what was known then is not known, and
// that is no permission. The zero time asks for nothing.
func AsOf(t time.Time) AsOfOption { return AsOfOption{t} }

func (a AsOfOption) applyCheck(o *callOptions)  { o.asOf = a.now }
func (a AsOfOption) applyRead(o *callOptions)   { a.applyCheck(o) }
func (a AsOfOption) applyNumber(o *callOptions) { a.applyCheck(o) }
func (a AsOfOption) applyExport(o *callOptions) { a.applyCheck(o) }

// AtOption is what At makes, for every read.
type AtOption struct{ position Position }

// At asks for the answer from exactly that position, at its own time, or with AsOf at that time. It replaces AtLeast. Errors: as for AtLeast and AsOf. The zero Position asks for nothing.
func At(p Position) AtOption { return AtOption{p} }

func (a AtOption) applyCheck(o *callOptions)  { o.at = a.position }
func (a AtOption) applyRead(o *callOptions)   { a.applyCheck(o) }
func (a AtOption) applyNumber(o *callOptions) { a.applyCheck(o) }
func (a AtOption) applyExport(o *callOptions) { a.applyCheck(o) }

// LoggedOption is what Logged makes, for every read.
type LoggedOption struct{ result Result }

// Logged asks for the answer of a result that was kept: At its Position, AsOf its CheckedAt, with its ClockAhead. A check then gives the
// same verdict and reasons, unless its TablesDifference names tables that are not those of TablesVersion. It replaces AtLeast. What the
// result leaves zero is not asked for.
func Logged(r Result) LoggedOption { return LoggedOption{r} }

func (l LoggedOption) applyCheck(o *callOptions) {
	o.asOf, o.at, o.ahead, o.tables = l.result.CheckedAt, l.result.Position, l.result.ClockAhead, l.result.TablesVersion
}
func (l LoggedOption) applyRead(o *callOptions)   { l.applyCheck(o) }
func (l LoggedOption) applyNumber(o *callOptions) { l.applyCheck(o) }
func (l LoggedOption) applyExport(o *callOptions) { l.applyCheck(o) }

// PurposeOption is what ForPurpose makes, for checks and GetNumber.
type PurposeOption struct{ purpose Purpose }

// ForPurpose says what the call would be for. Without it a check is answered for the purpose with the strictest rule.
func ForPurpose(p Purpose) PurposeOption { return PurposeOption{p} }

func (p PurposeOption) applyCheck(o *callOptions)  { o.purpose = p.purpose }
func (p PurposeOption) applyNumber(o *callOptions) { p.applyCheck(o) }

// ExplainOption is what Explain makes, for checks.
type ExplainOption struct{}

// Explain asks for the reasons of Allow too: which lists were asked, which consent counted, which hours were kept.
func Explain() ExplainOption { return ExplainOption{} }

func (ExplainOption) applyCheck(o *callOptions) { o.explain = true }

// PlaceOption is what InPlace makes, for Check and GetNumber.
type PlaceOption struct{ place string }

// InPlace says where the called party is known to be, in place of where the number says: an IANA time zone such as
// Europe/Paris, or an ISO 3166-2 code such as FR-IDF. It is for one number: CheckAll and CheckBatch refuse it, since it would be that of all numbers.
func InPlace(place string) PlaceOption { return PlaceOption{place} }

func (p PlaceOption) applyCheck(o *callOptions)  { o.place = p.place }
func (p PlaceOption) applyNumber(o *callOptions) { p.applyCheck(o) }

// callOptions are the options of one call, together.
type callOptions struct {
	scope    string
	scopeSet bool
	region   string
	atLeast  Position
	asOf     time.Time
	at       Position
	ahead    time.Duration // of asOf
	tables   string        // of the answer that is asked for again; empty: not said
	purpose  Purpose
	sent     dncv1.Purpose // purpose, in the contract
	explain  bool
	place    string

	recordUse bool
}

// readAt is which state a read asks for; nil: the newest.
func (o *callOptions) readAt() *dncv1.ReadAt {
	switch {
	case o.isPast():
		return &dncv1.ReadAt{At: &dncv1.ReadAt_Past{Past: o.past()}}
	case o.waits():
		return &dncv1.ReadAt{At: &dncv1.ReadAt_AtLeast{AtLeast: o.atLeast.message()}}
	}
	return nil
}

// past is the moment of the past that a read asks for.
func (o *callOptions) past() *dncv1.Past {
	p := &dncv1.Past{TablesVersion: o.tables}
	if !o.asOf.IsZero() {
		p.Now = timestamppb.New(o.asOf)
	}
	if o.ahead != 0 {
		p.ClockAhead = durationpb.New(o.ahead)
	}
	if o.at != (Position{}) {
		p.Position = o.at.message()
	}
	return p
}

// isPast reports whether a read asks for a moment of the past.
func (o *callOptions) isPast() bool { return !o.asOf.IsZero() || o.at != Position{} }

// waits reports whether a read names a position.
func (o *callOptions) waits() bool { return o.atLeast != Position{} }

// checkOptions are those of a check, with the client's default scope.
func (c *Client) checkOptions(opts []CheckOption) callOptions {
	o := gather(opts, CheckOption.applyCheck)
	o.scopeBy(c.opts.scope)
	return o
}

// numberOptions are those of GetNumber, with the client's default scope.
func (c *Client) numberOptions(opts []NumberOption) callOptions {
	o := gather(opts, NumberOption.applyNumber)
	o.scopeBy(c.opts.scope)
	return o
}

// scopeBy sets the scope of a call that names none.
func (o *callOptions) scopeBy(byDefault string) {
	if !o.scopeSet {
		o.scope = byDefault
	}
}

// judge refuses options that no server could honour. A batch has no place.
func (o *callOptions) judge(batch bool) (err error) {
	if batch && o.place != "" {
		return invalidField("place", "is for one number: use Check")
	}
	if batch && o.recordUse {
		return invalidField("record_use", "is for a check of one number before its call: use Check with RecordUse before each attempt")
	}
	o.sent, err = value[dncv1.Purpose](o.purpose, "PURPOSE_", dncv1.Purpose_value)
	return err
}

func readOptions(opts []ReadOption) callOptions { return gather(opts, ReadOption.applyRead) }

// gather puts options of one kind together. Without any it needs no memory.
func gather[T any](opts []T, apply func(T, *callOptions)) callOptions {
	if len(opts) == 0 {
		return callOptions{}
	}
	var o callOptions
	for _, opt := range opts {
		apply(opt, &o)
	}
	return o
}

// Limits of what may share a message: with more, a check could make the server refuse
// the others with it. In a call of its own it gets an error of its own.
const (
	maxSharedScope  = 255
	maxSharedRegion = 8
	maxSharedID     = 64
	maxSharedTag    = maxTagDigits
	maxSharedPlace  = 64
)

// canShare reports whether the options of a check can be in one message with others.
func (o *callOptions) canShare() bool {
	return !o.recordUse && !o.isPast() && len(o.scope) <= maxSharedScope && utf8.ValidString(o.scope) &&
		len(o.region) <= maxSharedRegion && utf8.ValidString(o.region) &&
		len(o.place) <= maxSharedPlace && utf8.ValidString(o.place) &&
		len(o.atLeast.JournalID) <= maxSharedID && utf8.ValidString(o.atLeast.JournalID) &&
		len(o.atLeast.Tag) <= maxSharedTag
}
