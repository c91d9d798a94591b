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

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/nice"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// wrapper registers services so that each method reads its messages with inbound, respects its deadline before it
// works, survives a panic, and returns only errors of errors.go. It wraps the handlers once, at registration: an
// interceptor would cost two allocations a call, which shows in the profile of a unary check.
type wrapper struct {
	next     grpc.ServiceRegistrar
	base     *service
	log      *slog.Logger
	metrics  *metrics
	admit    *admission
	loads    *sharedRoom     // of imports and exports
	watches  *sharedRoom     // of streams of changes
	handlers *sync.WaitGroup // of streams
	arrivals *arrivals       // of the messages of unary calls
	auth     *authenticator
	granted  *openStreams // that end with their grant
	memory   *memory
}

// RegisterService implements grpc.ServiceRegistrar.
func (w wrapper) RegisterService(desc *grpc.ServiceDesc, impl any) {
	wrapped := *desc
	wrapped.Methods = make([]grpc.MethodDesc, len(desc.Methods))
	for i, m := range desc.Methods {
		wrapped.Methods[i] = grpc.MethodDesc{MethodName: m.MethodName, Handler: w.unary(desc.ServiceName, m)}
	}
	wrapped.Streams = make([]grpc.StreamDesc, len(desc.Streams))
	for i, s := range desc.Streams {
		wrapped.Streams[i] = s
		wrapped.Streams[i].Handler = w.stream(desc.ServiceName, s)
	}
	w.next.RegisterService(&wrapped, impl)
}

func (w wrapper) unary(service string, m grpc.MethodDesc) grpc.MethodHandler {
	method := service + "/" + m.MethodName
	room := w.admit.ofCall(service, m.MethodName)
	may := w.authorizer(method)
	calls := w.metrics.call(method, false)
	return func(impl any, ctx context.Context, _ func(any) error, i grpc.UnaryServerInterceptor) (resp any, err error) {
		var let ticket
		began := time.Now()
		defer func() {
			let.leave()
			if p := recover(); p != nil {
				resp, err = nil, w.panicked(ctx, method, p)
			}
			calls.ended(began, err)
		}()
		if err := ctx.Err(); err != nil {
			return nil, w.refused(ctx, method, err)
		}
		ctx, caller, err := w.enter(ctx, may)
		if err != nil {
			return nil, w.refused(ctx, method, err)
		}
		in, err := inboundOf(ctx, method, false)
		if err != nil {
			return nil, w.refused(ctx, method, err)
		}
		waits := false
		resp, err = m.Handler(impl, ctx, func(req any) error {
			err := w.arrivals.receive(ctx, in, req)
			waits = readAtOf(req) != nil
			if err == nil {
				err = may.request(ctx, caller, req)
			}
			if err == nil && room != nil {
				let, err = w.letIn(ctx, req, room.enter)
			}
			return err
		}, i)
		if answer, ok := resp.(*dncv1.CheckNumbersResponse); ok && err == nil {
			resp, err = w.track(ctx, answer)
		}
		if err == nil && waits && !w.auth.stands(caller) {
			err = errGrantEnded
		}
		if err != nil {
			return nil, w.refused(ctx, method, err)
		}
		return resp, nil
	}
}

// readAtOf is the position that a request waits for; nil when it is none that waits.
func readAtOf(req any) *dncv1.ReadAt {
	if r, ok := req.(interface{ GetReadAt() *dncv1.ReadAt }); ok {
		return r.GetReadAt()
	}
	return nil
}

// authorizer returns who may call a method, "dnc.v1.ListService/DeleteList".
func (w wrapper) authorizer(method string) *authorizer {
	return newAuthorizer(w.base.store, w.auth.acts, method)
}

// enter finds out who calls, and lets the caller in if it may call the method at all. The context that it returns has
// the caller.
func (w wrapper) enter(ctx context.Context, may *authorizer) (context.Context, *access.Grant, error) {
	caller, err := w.auth.authenticate(ctx, may.method)
	if err != nil {
		return ctx, nil, err
	}
	if caller != access.Open {
		ctx = context.WithValue(ctx, callerKey{}, caller)
	}
	return ctx, caller, may.call(ctx, caller)
}

// letIn calls enter for a request once its position is reached: a request that waits holds no room.
func (w wrapper) letIn(ctx context.Context, req any, enter func(units int) (ticket, error)) (ticket, error) {
	if at := readAtOf(req); at.GetPast() == nil {
		if _, err := w.base.view(ctx, at); err != nil {
			return ticket{}, err
		}
	}
	return enter(1)
}

// stream serves a stream in a goroutine of its own, so that a session whose client does not read can be cut. gRPC ends
// a stream when its handler returns, and a handler that is sending does not return before that.
func (w wrapper) stream(service string, s grpc.StreamDesc) grpc.StreamHandler {
	method := service + "/" + s.StreamName
	checks := service == dncv1.CheckService_ServiceDesc.ServiceName
	may := w.authorizer(method)
	calls := w.metrics.call(method, checks)
	return func(impl any, stream grpc.ServerStream) (err error) {
		began := time.Now()
		defer func() { calls.ended(began, err) }()
		if err := stream.Context().Err(); err != nil {
			return w.refused(stream.Context(), method, err)
		}
		room := w.roomOf(stream.Context(), method, checks)
		ctx, caller, err := w.enter(stream.Context(), may)
		if err != nil {
			return w.refused(ctx, method, err)
		}
		session, err := newSession(ctx, stream, method, s.ClientStreams, room)
		if err != nil {
			return w.refused(stream.Context(), method, err)
		}
		defer w.leave(session)
		defer w.granted.join(session, caller)()
		if !checks {
			defer w.admitLoad(session, may, caller)()
		}
		served := make(chan error, 1)
		w.handlers.Go(func() { served <- w.serve(method, s.Handler, impl, session) })
		select {
		case err := <-served:
			return err
		case <-session.ctx.Done():
		}
		if why := session.reason(); why != nil {
			return w.refused(stream.Context(), method, why)
		}
		return <-served
	}
}

// roomOf returns the room that a stream takes part of.
func (w wrapper) roomOf(ctx context.Context, method string, checks bool) *sharedRoom {
	switch {
	case checks:
		return shareOf(ctx, w.base.messages)
	case method == dncv1.PropagationService_Watch_FullMethodName[1:]:
		return w.watches
	}
	return w.loads
}

// serve runs the handler of a stream.
func (w wrapper) serve(method string, handler grpc.StreamHandler, impl any, s *session) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = w.panicked(s.ServerStream.Context(), method, p)
		}
	}()
	if err := handler(impl, s); err != nil {
		return w.refused(s.ServerStream.Context(), method, err)
	}
	return nil
}

// headerTime is how long an import or an export may take to send its first message.
const headerTime = 10 * time.Second

// admitLoad gives an import, an export or a stream of changes its room with its first message, which must come soon. end is called when it
// has ended.
func (w wrapper) admitLoad(s *session, may *authorizer, caller *access.Grant) (end func()) {
	late := time.AfterFunc(headerTime, func() { s.cancel(errNoHeader) })
	s.first = func(req any) error {
		late.Stop()
		if err := may.request(s.ctx, caller, req); err != nil {
			return err
		}
		room, err := w.letIn(s.ctx, req, s.take)
		if err == nil {
			s.hold(room)
		}
		return err
	}
	return func() { late.Stop() }
}

// leave ends a session. Memory that it held for a client that did not read is returned to the system.
func (w wrapper) leave(s *session) {
	s.end()
	if s.unread() {
		w.memory.giveBack()
	}
}

// refused turns the error of a handler into the status that the caller gets.
func (w wrapper) refused(ctx context.Context, method string, err error) error {
	f := w.classify(ctx, method, err)
	w.metrics.refused(method, f)
	if f.reason == dncv1.ErrorReason_ERROR_REASON_INTERNAL {
		w.log.ErrorContext(ctx, "internal error", "method", method, "error", withoutDigits(f.err.Error()))
	}
	return statusOf(ctx, f)
}

// classify separates the status errors of gRPC's own code from the errors of handlers. For a message that does not
// decode, or is too large, gRPC has sent its own status already: the result is only counted in the metrics.
func (w wrapper) classify(ctx context.Context, method string, err error) *fault {
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
func (w wrapper) unknown(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	f := unsupported(method[strings.LastIndexByte(method, '/')+1:])
	if !strings.HasPrefix(method, "/dnc.v1.") {
		f = refuse(dncv1.ErrorReason_ERROR_REASON_UNSUPPORTED, "no such method", "feature", "method")
	}
	w.metrics.refused("unknown", f)
	return statusOf(stream.Context(), f)
}

// panicked logs a panic by its frames. The log gets neither arguments nor long runs of digits: they may be numbers.
func (w wrapper) panicked(ctx context.Context, method string, p any) error {
	w.metrics.panics.Inc()
	w.metrics.refused(method, &fault{reason: dncv1.ErrorReason_ERROR_REASON_INTERNAL})
	at := make([]uintptr, maxFrames)
	at = at[:runtime.Callers(3, at)]
	if elsewhere, ok := p.(nice.Panic); ok {
		p, at = elsewhere.Value, elsewhere.Callers
	}
	w.log.Error("panic", "method", method, "panic", withoutDigits(fmt.Sprint(p)), "frames", frames(at))
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
