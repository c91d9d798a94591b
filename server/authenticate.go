package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/dncd/dncd/internal/access"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// Auth says what a server asks of its callers.
type Auth uint8

const (
	// AuthOff asks for nothing: every caller may do everything. It reads no token.
	AuthOff Auth = iota
	// AuthOptional holds a caller that shows a token, or a certificate that was granted something, to its grant. A caller
	// that shows nothing may do everything.
	AuthOptional
	// AuthRequired refuses callers that show neither.
	AuthRequired
)

// authenticator finds the grant under which a call is made.
type authenticator struct {
	mode    Auth
	store   *store.Store
	metrics *metrics
	tarpit  *tarpit
	refused *refusals // of callers
	acts    *refusals // of acts; apart, so that refused logins do not crowd them out of the log
}

// callerKey is the key of the grant in the context of a call.
type callerKey struct{}

// callerOf returns the grant under which the call of ctx is made.
func callerOf(ctx context.Context) *access.Grant {
	if g, ok := ctx.Value(callerKey{}).(*access.Grant); ok {
		return g
	}
	return access.Open
}

// authenticate returns the grant of the caller. A token takes precedence over a certificate. A bad token is refused even where
// none is needed: its caller would otherwise believe that the token counts.
func (a *authenticator) authenticate(ctx context.Context, method string) (*access.Grant, error) {
	if a.mode == AuthOff {
		return access.Open, nil
	}
	shown := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(shown) > 0 {
		g, why := a.byToken(shown)
		if why != "" {
			return nil, a.refuse(ctx, method, "token", why)
		}
		return g, nil
	}
	cert := verifiedCertificate(ctx)
	if cert == nil {
		if a.mode == AuthRequired {
			return nil, a.refuse(ctx, method, "none", "this server needs a token or a client certificate: none was shown")
		}
		return access.Open, nil
	}
	g := a.store.View().Access().Certificate(certificateName(cert))
	switch {
	case g == nil && a.mode == AuthOptional:
		return access.Open, nil
	case g == nil:
		return nil, a.refuse(ctx, method, "certificate", "the client certificate was granted nothing")
	case a.ended(g):
		return nil, a.refuse(ctx, method, "certificate", "what the client certificate was granted has expired")
	}
	return g, nil
}

const bearer = "bearer "

// byToken returns the grant of the token in a header, or why there is none.
func (a *authenticator) byToken(shown []string) (g *access.Grant, why string) {
	if len(shown) > 1 {
		return nil, "authorization was sent more than once"
	}
	if len(shown[0]) < len(bearer) || !strings.EqualFold(shown[0][:len(bearer)], bearer) {
		return nil, "authorization is not a bearer token"
	}
	g = a.store.View().Access().Token(access.SecretOf(shown[0][len(bearer):]))
	switch {
	case g == nil:
		return nil, "the token is unknown: it may have been revoked"
	case a.ended(g):
		return nil, "the token has expired"
	}
	return g, ""
}

// ended reports whether g has expired. A clock that jumped ahead does not end it: the store knows by how much.
func (a *authenticator) ended(g *access.Grant) bool {
	return !g.ExpiresAt.IsZero() && g.Expired(instantOf(a.store.View()).byClock())
}

// stands reports whether g still grants what it did when a stream began.
func (a *authenticator) stands(g *access.Grant) bool {
	return g == access.Open || (a.store.View().Access().Current(g) && !a.ended(g))
}

// refuse logs and counts a login that failed, and waits for the turn of its answer. The answer says why, and neither the
// answer nor the log holds what was shown.
func (a *authenticator) refuse(ctx context.Context, method, kind, why string) error {
	a.metrics.loginRefused(kind)
	a.tarpit.wait(ctx)
	a.refused.note(ctx, "login refused", "kind", kind, "reason", why, "method", method, "peer", peerAddress(ctx))
	return refuse(dncv1.ErrorReason_ERROR_REASON_UNAUTHENTICATED, why)
}

// deny refuses an administrative act that the caller's roles allow elsewhere, and logs it.
func (a *authenticator) deny(ctx context.Context, method, why string) error {
	a.acts.note(ctx, "act refused", "method", method, "caller", callerOf(ctx).Name, "reason", why, "peer", peerAddress(ctx))
	return denied(why).with("role", access.Admin.String())
}

// refusals logs what was refused. It limits the lines, so that an attacker cannot fill the disk.
type refusals struct {
	log     *slog.Logger
	lines   *rate.Limiter
	leftOut atomic.Int64 // since the last summary
}

// How many lines refusals writes.
const (
	refusalsPerSecond = 5
	refusalsBurst     = 20
	summaryEvery      = time.Second // of what was left out
)

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, lines: rate.NewLimiter(refusalsPerSecond, refusalsBurst)}
}

// note writes a line, or counts it for the next summary.
func (r *refusals) note(ctx context.Context, message string, args ...any) {
	if r.lines.Allow() {
		r.log.WarnContext(ctx, message, args...)
		return
	}
	if r.leftOut.Add(1) == 1 {
		time.AfterFunc(summaryEvery, func() { r.log.Warn("more was refused", "like", message, "left_out", r.leftOut.Swap(0)) })
	}
}

// refusedTLS logs and counts a client whose handshake failed: most often its certificate.
func (a *authenticator) refusedTLS(peer net.Addr, err error) {
	a.metrics.loginRefused("tls")
	a.refused.note(context.Background(), "TLS client refused", "reason", withoutDigits(err.Error()), "peer", hostOf(peer))
}

// watchedTLS notes clients whose TLS handshake was refused.
type watchedTLS struct {
	credentials.TransportCredentials
	refused func(peer net.Addr, err error)
}

func newWatchedTLS(c *tls.Config, refused func(peer net.Addr, err error)) credentials.TransportCredentials {
	return watchedTLS{credentials.NewTLS(c), refused}
}

// ServerHandshake implements credentials.TransportCredentials.
func (w watchedTLS) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := w.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		w.refused(conn.RemoteAddr(), err)
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (w watchedTLS) Clone() credentials.TransportCredentials {
	return watchedTLS{w.TransportCredentials.Clone(), w.refused}
}

// endRevoked ends streams whose grant was revoked or has expired. It returns when done is closed.
func (a *authenticator) endRevoked(done <-chan struct{}, streams *openStreams) {
	if a.mode == AuthOff {
		return
	}
	tick := time.NewTicker(revokedEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			streams.end(func(g *access.Grant) bool { return !a.stands(g) })
		}
	}
}

// revokedEvery is how often that is looked at. The contract promises 5 s.
const revokedEvery = time.Second

// knownCallers registers services of other packages. Any caller that the server lets in may open their streams.
type knownCallers struct {
	grpc.ServiceRegistrar
	auth *authenticator
}

// RegisterService implements grpc.ServiceRegistrar.
func (k knownCallers) RegisterService(desc *grpc.ServiceDesc, impl any) {
	wrapped := *desc
	wrapped.Streams = slices.Clone(desc.Streams)
	for i, s := range desc.Streams {
		wrapped.Streams[i].Handler = func(impl any, stream grpc.ServerStream) error {
			if _, err := k.auth.authenticate(stream.Context(), s.StreamName); err != nil {
				return statusOf(stream.Context(), faultOf(err))
			}
			return s.Handler(impl, stream)
		}
	}
	k.ServiceRegistrar.RegisterService(&wrapped, impl)
}

// GetServiceInfo implements reflection.ServiceInfoProvider.
func (k knownCallers) GetServiceInfo() map[string]grpc.ServiceInfo {
	return k.ServiceRegistrar.(*grpc.Server).GetServiceInfo()
}
