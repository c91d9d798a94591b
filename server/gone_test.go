package server_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// broken is a service whose streams end with the errors that gRPC has for a connection that is gone.
type broken struct {
	dncv1.UnimplementedListServiceServer
	errs chan error
}

func (b broken) Import(grpc.BidiStreamingServer[dncv1.ImportRequest, dncv1.ImportResponse]) error {
	return <-b.errs
}

// serveBroken serves it, and returns how a call ends whose handler ends with err.
func serveBroken(t *testing.T, log io.Writer) (endsWith func(err error) error) {
	s, err := server.New(server.Options{Store: start(t).store})
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := s.Wrapped(slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	b := broken{errs: make(chan error, 1)}
	renamed := dncv1.ListService_ServiceDesc
	renamed.ServiceName = "test.Broken"
	wrapped.RegisterService(&renamed, b)
	conn := serveServer(t, s)
	return func(err error) error {
		b.errs <- err
		stream, err := conn.NewStream(testContext(t), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Broken/Import")
		if err != nil {
			t.Fatal(err)
		}
		return stream.RecvMsg(&dncv1.ImportResponse{})
	}
}

// A stream that broke is the caller's matter, wherever in the handler that shows.
func TestCallerThatIsGoneIsNoInternalError(t *testing.T) {
	t.Parallel()
	log := new(syncBuffer)
	endsWith := serveBroken(t, log)
	closing := status.Error(codes.Unavailable, "transport is closing")
	for _, tt := range []struct {
		err    error
		code   codes.Code
		reason string
	}{
		{closing, codes.Canceled, "DEADLINE"},
		{fmt.Errorf("acknowledge: %w", closing), codes.Canceled, "DEADLINE"},
		{server.WithImport(closing), codes.Canceled, "DEADLINE"},
		{server.WithImport(status.Error(codes.Canceled, "context canceled")), codes.Canceled, "DEADLINE"},
		{server.WithImport(status.Error(codes.DeadlineExceeded, "context deadline exceeded")), codes.DeadlineExceeded, "DEADLINE"},
		{server.WithImport(io.ErrUnexpectedEOF), codes.Internal, "INTERNAL"},
	} {
		wantReason(t, endsWith(tt.err), tt.code, tt.reason)
	}
	if got := strings.Count(log.String(), "internal error"); got != 1 {
		t.Errorf("%d internal errors in the log, want the last alone: %s", got, log)
	}
}

// A caller whose load was taken over gets a reason after which no client continues automatically.
func TestLoadThatIsTakenOverSaysSo(t *testing.T) {
	t.Parallel()
	err := serveBroken(t, io.Discard)(server.WithImport(store.ErrTakenOver))
	wantReason(t, err, codes.NotFound, "IMPORT_NOT_FOUND")
	if !strings.Contains(err.Error(), "another command took the list over: this load was abandoned: look at what the list holds") {
		t.Errorf("got %v", err)
	}
}

// Clients that go in the midst of what they send leave no error in the log.
func TestImportOfAClientThatGoesIsNoInternalError(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	all := numbers(100)
	for range 20 {
		conn, err := grpc.NewClient(n.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		stream, err := dncv1.NewListServiceClient(conn).Import(testContext(t))
		if err != nil {
			t.Fatal(err)
		}
		send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: "mine"}}})
		for seq := range uint64(50) {
			send(stream, chunkRequest(seq+1, all))
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	if err := n.stop(); err != nil { // the handlers have ended
		t.Fatal(err)
	}
	if got := n.log.String(); strings.Contains(got, "internal error") {
		t.Errorf("the log has errors of the server: %s", got)
	}
}
