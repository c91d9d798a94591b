package daemon

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// scripted is a list service that tells what a load goes through, a frame for each
// that it gets.
type scripted struct {
	dncv1.UnimplementedListServiceServer
	says []*dncv1.ImportResponse
}

func (s *scripted) Import(stream grpc.BidiStreamingServer[dncv1.ImportRequest, dncv1.ImportResponse]) error {
	for _, frame := range s.says {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		if err := stream.Send(frame); err != nil {
			return err
		}
	}
	return nil
}

func TestTapTellsThePhases(t *testing.T) {
	progress := func(phase dncv1.ImportPhase) *dncv1.ImportResponse {
		return &dncv1.ImportResponse{Frame: &dncv1.ImportResponse_Progress{Progress: &dncv1.ImportProgress{Phase: phase}}}
	}
	says := []*dncv1.ImportResponse{
		{Frame: &dncv1.ImportResponse_Opened{Opened: &dncv1.ImportOpened{ImportId: "one"}}},
		{Frame: &dncv1.ImportResponse_Ack{Ack: &dncv1.ImportAck{Seq: 1}}},
		progress(dncv1.ImportPhase_IMPORT_PHASE_COMPARING),
		progress(dncv1.ImportPhase_IMPORT_PHASE_WRITING),
		progress(dncv1.ImportPhase_IMPORT_PHASE_SWITCHING),
		{Frame: &dncv1.ImportResponse_Result{Result: &dncv1.ImportResult{ImportId: "one"}}},
	}
	want := []string{Sending, Sending, Comparing, Writing, Switching, After}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	dncv1.RegisterListServiceServer(server, &scripted{says: says})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	proxy, err := NewImportProxy(t.Context(), "127.0.0.1:0", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	conn, err := grpc.NewClient(proxy.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := dncv1.NewListServiceClient(conn).Import(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := proxy.Phase(); got != Before {
		t.Errorf("first: %s", got)
	}
	for _, phase := range want {
		if err := stream.Send(&dncv1.ImportRequest{}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		await(t, proxy, phase)
	}
	if proxy.Reset(); proxy.Phase() != Before {
		t.Error("a load is remembered after Reset")
	}
}

// await waits for a phase: the proxy reads beside the client.
func await(t *testing.T, proxy *ImportProxy, phase string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); proxy.Phase() != phase; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still %s, want %s", proxy.Phase(), phase)
		}
	}
}

func TestTapEndsWithItsServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := NewImportProxy(t.Context(), "127.0.0.1:0", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", proxy.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	proxy.Close()
	if _, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a connection outlives its proxy: %v", err)
	}
	if _, err := net.Dial("tcp", proxy.Addr); err == nil {
		t.Error("the address outlives its proxy")
	}
	again, err := NewImportProxy(t.Context(), proxy.Addr, listener.Addr().String())
	if err != nil {
		t.Fatalf("at the same address: %v", err)
	}
	again.Close()
}
