package client_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// unsteady passes calls on to dncd, but the first of each method: a stream it ends, another call it refuses as a server
// without room does.
type unsteady struct {
	to *grpc.ClientConn

	mu   sync.Mutex
	seen map[string]int // calls by method
}

// serveUnsteadily serves what the server at addr does.
func serveUnsteadily(t *testing.T, addr string) (u *unsteady, at string) {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(asBytes{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	u = &unsteady{to: conn, seen: make(map[string]int)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(grpc.UnknownServiceHandler(u.handle), grpc.ForceServerCodecV2(asBytes{}))
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-served
	})
	return u, l.Addr().String()
}

func (u *unsteady) handle(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	u.mu.Lock()
	u.seen[method]++
	isFirst := u.seen[method] == 1
	u.mu.Unlock()
	switch {
	case isFirst && method == dncv1.CheckService_StreamChecks_FullMethodName:
		return nil
	case isFirst:
		stream.SetTrailer(metadata.Pairs("dncd-reason", "OVERLOADED", "grpc-retry-pushback-ms", "100"))
		return status.Error(codes.ResourceExhausted, "busy")
	}
	return u.pass(stream, method)
}

// pass carries messages in both directions.
func (u *unsteady) pass(stream grpc.ServerStream, method string) error {
	out, err := u.to.NewStream(stream.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	go func() {
		var message []byte
		for stream.RecvMsg(&message) == nil && out.SendMsg(&message) == nil {
		}
		_ = out.CloseSend()
	}()
	for {
		var message []byte
		if err := out.RecvMsg(&message); err != nil {
			stream.SetTrailer(out.Trailer())
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := stream.SendMsg(&message); err != nil {
			return err
		}
	}
}

func (u *unsteady) calls(method string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.seen[method]
}

// asBytes is a codec that leaves messages as they are.
type asBytes struct{}

func (asBytes) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (asBytes) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (asBytes) Name() string { return "proto" }
