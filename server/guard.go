package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dncd/dncd/internal/gentle"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// guard registers services so that each of their methods reads its messages itself, honours its deadline before work,
// survives a panic, and lets errors out through errors.go alone. It wraps the handlers once, at registration: an interceptor would cost two
// allocations a call, which shows in the profile of a unary check.
type guard struct {
	next     grpc.ServiceRegistrar
	base     *service
	log      *slog.Logger
	metrics  *metrics
	admit    *admission
	loads    *sharedRoom     // of imports and exports
	handlers *sync.WaitGroup // of streams
	memory   *memory
}

// RegisterService implements grpc.ServiceRegistrar.
func (g guard) RegisterService(desc *grpc.ServiceDesc, impl any) {
	guarded := *desc
	guarded.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	for i, m := range desc.Methods {
		guarded.Methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: g.unary(desc.ServiceName, m)}
	}
	guarded.Streams = make([]grpc.StreamDesc, len(desc.Streams))
	for i, s := range desc.Streams {
		guarded.Streams[i] = s
		guarded.Streams[i].Handler = g.stream(desc.ServiceName, s)
	}
	g.next.RegisterService(&guarded, impl)
}

func (g guard) unary(service string, m grpc.MethodDesc) grpc.MethodHandler {
	method := service + "/" + m.MethodName
	room := g.admit.ofCall(service, m.MethodName)
	return func(impl any, ctx context.Context, _ func(any) error, i grpc.UnaryServerInterceptor) (resp any, err error) {
		var let ticket
		defer func() {
			let.leave()
			if p := recover(); p != nil {
				resp, err = nil, g.panicked(ctx, method, p)
			}
		}()
		if err := ctx.Err(); err != nil {
			return nil, g.refused(ctx, method, err)
		}
		in, err := inboundOf(ctx, method, false)
		if err != nil {
			return nil, g.refused(ctx, method, err)
		}
		resp, err = m.Handler(impl, ctx, func(req any) error {
			err := in.receive(req)
			if err == nil && room != nil {
				let, err = g.letIn(ctx, req, room.enter)
			}
			return err
		}, i)
		if err != nil {
			return nil, g.refused(ctx, method, err)
		}
		return resp, nil
	}
}

// letIn gives a request room by enter, once the revision that it asks for is there: what waits holds none.
func (g guard) letIn(ctx context.Context, req any, enter func(units int) (ticket, error)) (ticket, error) {
	if r, ok := req.(interface {
		GetReadAt() *dncv1.ReadAt
	}); ok {
		if _, err := g.base.view(ctx, r.GetReadAt()); err != nil {
			return ticket{}, err
		}
	}
	return enter(1)
}

// stream serves a stream in a goroutine of its own, so that a session whose client does not read can be cut: the stream
// ends when its handler returns, and a handler that sends does not return before.
func (g guard) stream(service string, s grpc.StreamDesc) grpc.StreamHandler {
	method := service + "/" + s.StreamName
	checks := service == dncv1.CheckService_ServiceDesc.ServiceName
	return func(impl any, stream grpc.ServerStream) error {
		if err := stream.Context().Err(); err != nil {
			return g.refused(stream.Context(), method, err)
		}
		room := g.loads
		if checks {
			room = shareOf(stream.Context(), g.base.messages)
		}
		session, err := newSession(stream, method, s.ClientStreams, room)
		if err != nil {
			return g.refused(stream.Context(), method, err)
		}
		defer g.leave(session)
		if !checks {
			defer g.admitLoad(session)()
		}
		served := make(chan error, 1)
		g.handlers.Go(func() { served <- g.serve(method, s.Handler, impl, session) })
		select {
		case err := <-served:
			return err
		case <-session.ctx.Done():
		}
		if why := session.reason(); why != nil {
			return g.refused(stream.Context(), method, why)
		}
		return <-served
	}
}

// serve runs the handler of a stream.
func (g guard) serve(method string, handler grpc.StreamHandler, impl any, s *session) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = g.panicked(s.ServerStream.Context(), method, p)
		}
	}()
	if err := handler(impl, s); err != nil {
		return g.refused(s.ServerStream.Context(), method, err)
	}
	return nil
}

// headerTime is how long a load may take to say what it is.
const headerTime = 10 * time.Second

// admitLoad gives a load its room with its first message, which must come soon. The result is called at its end.
func (g guard) admitLoad(s *session) (end func()) {
	late := time.AfterFunc(headerTime, func() { s.cancel(errNoHeader) })
	s.first = func(req any) error {
		late.Stop()
		room, err := g.letIn(s.ctx, req, s.take)
		if err == nil {
			s.hold(room)
		}
		return err
	}
	return func() { late.Stop() }
}

// leave ends a session. What a client that did not read made the server hold goes back to the system.
func (g guard) leave(s *session) {
	s.end()
	if s.unread() {
		g.memory.giveBack()
	}
}

// refused turns what a handler returned into what the caller gets.
func (g guard) refused(ctx context.Context, method string, err error) error {
	f := g.classify(ctx, method, err)
	g.metrics.refused(method, f)
	if f.reason == dncv1.ErrorReason_ERROR_REASON_INTERNAL {
		g.log.ErrorContext(ctx, "internal error", "method", method, "error", withoutDigits(f.err.Error()))
	}
	return statusOf(ctx, f)
}

// classify tells the errors that gRPC's own code makes, which are status errors, from those of the handlers. For a
// message that does not decode, or is too large, gRPC has sent its own status already: what is made of it here counts
// in the metrics alone.
func (g guard) classify(ctx context.Context, method string, err error) *fault {
	var f *fault
	s, ok := status.FromError(err)
	switch {
	case errors.As(err, &f), !ok:
		return faultOf(err)
	case s.Code() == codes.Unimplemented: // from the generated Unimplemented*Server
		return unsupported(method[strings.LastIndexByte(method, '/')+1:])
	case ctx.Err() != nil:
		return faultOf(ctx.Err())
	case streamBroke(err) != nil:
		return faultOf(err)
	}
	return refuse(dncv1.ErrorReason_ERROR_REASON_FIELD_INVALID, "the request does not decode or is larger than 1 MiB")
}

// unknown answers calls of services and methods that are not registered.
func (g guard) unknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	f := unsupported(method[strings.LastIndexByte(method, '/')+1:])
	if !strings.HasPrefix(method, "/dnc.v1.") {
		f = refuse(dncv1.ErrorReason_ERROR_REASON_UNSUPPORTED, "no such method", "feature", "method")
	}
	g.metrics.refused("unknown", f)
	return statusOf(stream.Context(), f)
}

// panicked logs a panic by its frames. Neither arguments nor a long run of digits go to the log: they may be numbers.
func (g guard) panicked(ctx context.Context, method string, p any) error {
	g.metrics.panics.Inc()
	g.metrics.refused(method, &fault{reason: dncv1.ErrorReason_ERROR_REASON_INTERNAL})
	at := make([]uintptr, maxFrames)
	at = at[:runtime.Callers(3, at)]
	if elsewhere, ok := p.(gentle.Panic); ok {
		p, at = elsewhere.Value, elsewhere.Callers
	}
	g.log.Error("panic", "method", method, "panic", withoutDigits(fmt.Sprint(p)), "frames", frames(at))
	return statusOf(ctx, refuse(dncv1.ErrorReason_ERROR_REASON_INTERNAL, internalMessage))
}

const maxFrames = 32

// frames names callers, the innermost first, without the values of their arguments.
func frames(callers []uintptr) []string {
	list := runtime.CallersFrames(callers)
	var out []string
	for {
		f, more := list.Next()
		out = append(out, fmt.Sprintf("%s:%d", f.Function, f.Line))
		if !more {
			return out
		}
	}
}

var digitRun = regexp.MustCompile(`\d{6,}`)

// withoutDigits hides what might be a phone number in a text of unknown origin.
func withoutDigits(s string) string { return digitRun.ReplaceAllString(s, "#") }
