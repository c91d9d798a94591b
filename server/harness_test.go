package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// clock is a clock that tests set. A check reads it once, while it holds its room: delay makes checks slow.
type clock struct {
	mu      sync.Mutex
	now     time.Time
	reader  string
	waiting func()
}

var testDay = time.Date(2026, 9, 10, 12, 0, 0, 0, time.UTC)

func (c *clock) Now() time.Time {
	c.mu.Lock()
	reader, wait := c.reader, c.waiting
	c.mu.Unlock()
	if wait != nil && isCalledBy(reader) {
		wait()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// delay makes a method of the server wait when it reads the clock.
func (c *clock) delay(method string, wait func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reader, c.waiting = method, wait
}

// hold makes a method of the server wait when it reads the clock, until release is called.
func (c *clock) hold(method string) (release func()) {
	held := make(chan struct{})
	c.delay(method, func() { <-held })
	return sync.OnceFunc(func() { close(held) })
}

// oneByOne returns a wait of that length, which only one caller spends at a time.
func oneByOne(each time.Duration) func() {
	var mu sync.Mutex
	return func() {
		mu.Lock()
		defer mu.Unlock()
		time.Sleep(each)
	}
}

// isCalledBy reports whether the caller of its caller is below a method of that name.
func isCalledBy(method string) bool {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "."+method) {
			return true
		}
		if !more {
			return false
		}
	}
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// syncBuffer is a log that goroutines write and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// node is a server on loopback with a real store, and a client of each service.
type node struct {
	t        testing.TB
	clock    *clock
	store    *store.Store
	registry *prometheus.Registry
	log      *syncBuffer
	addr     string
	web      string
	conn     *grpc.ClientConn
	stop     func() error // stops the server and waits; may be called again

	check  dncv1.CheckServiceClient
	record dncv1.RecordServiceClient
	list   dncv1.ListServiceClient
	admin  dncv1.AdminServiceClient
}

func start(t testing.TB, change ...func(*server.Options)) *node {
	t.Helper()
	return startIn(t, t.TempDir(), store.Options{MinFree: -1}, change...)
}

// startIn serves the store in dir.
func startIn(t testing.TB, dir string, so store.Options, change ...func(*server.Options)) *node {
	t.Helper()
	n := &node{t: t, clock: &clock{now: testDay}, registry: prometheus.NewRegistry(), log: new(syncBuffer)}
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	so.Clock, so.Logger, so.Ballast = n.clock.Now, logger, -1
	var err error
	n.store, err = store.Open(dir, so)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n.store != nil {
			n.store.Close()
		}
	})
	o := server.Options{Store: n.store, Registry: n.registry, Logger: logger, Version: "test", Grace: time.Minute}
	for _, c := range change {
		c(&o)
	}
	n.serve(o)
	if o.TLS == nil {
		n.dial(grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	return n
}

func (n *node) serve(o server.Options) {
	n.t.Helper()
	s, err := server.New(o)
	if err != nil {
		n.t.Fatal(err)
	}
	rpc, web := listen(n.t), listen(n.t)
	n.addr, n.web = rpc.Addr().String(), "http://"+web.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, rpc, web) }()
	n.stop = sync.OnceValue(func() error {
		cancel()
		return <-served
	})
	n.t.Cleanup(func() {
		if err := n.stop(); err != nil {
			n.t.Errorf("Serve: %v", err)
		}
	})
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (n *node) dial(o ...grpc.DialOption) {
	n.t.Helper()
	conn, err := grpc.NewClient(n.addr, append(o, n.wantTags()...)...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	n.conn = conn
	n.check = dncv1.NewCheckServiceClient(n.conn)
	n.record = dncv1.NewRecordServiceClient(n.conn)
	n.list = dncv1.NewListServiceClient(n.conn)
	n.admin = dncv1.NewAdminServiceClient(n.conn)
}

// testContext ends a test that hangs: its time is far beyond what a busy machine takes.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// awaitWaits waits until that many calls wait for a revision of the node's store: their stacks show it. Nothing else shows
// that such a call has arrived.
func (n *node) awaitWaits(count int) {
	n.t.Helper()
	waiting := fmt.Appendf(nil, "store.(*Store).Wait(%p", n.store)
	stacks := make([]byte, 64<<10)
	eventually(n.t, "calls wait for their revision", func() bool {
		size := runtime.Stack(stacks, true)
		for ; size == len(stacks); size = runtime.Stack(stacks, true) {
			stacks = make([]byte, 2*len(stacks))
		}
		return bytes.Count(stacks[:size], waiting) >= count
	})
}

// errorInfo is what a failed call carries.
func errorInfo(err error) *errdetails.ErrorInfo {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return nil
}

// wantReason checks code and reason of an error.
func wantReason(t testing.TB, err error, code codes.Code, reason string) {
	t.Helper()
	info := errorInfo(err)
	if status.Code(err) != code || info.GetReason() != reason || info.GetDomain() != "dncd" {
		t.Errorf("got %v with %v, want %v with reason %s of dncd", err, info, code, reason)
	}
}

// optOut records one, or fails the test.
func (n *node) optOut(number, scope string) *dncv1.RecordOptOutResponse {
	n.t.Helper()
	resp, err := n.record.RecordOptOut(testContext(n.t), &dncv1.RecordOptOutRequest{Number: number, Scope: scope})
	if err != nil {
		n.t.Fatal(err)
	}
	return resp
}

func (n *node) checkNumber(number, scope string) *dncv1.CheckNumberResponse {
	n.t.Helper()
	resp, err := n.check.CheckNumber(testContext(n.t), &dncv1.CheckNumberRequest{Number: number, Scope: scope})
	if err != nil {
		n.t.Fatal(err)
	}
	return resp
}

func (n *node) createList(req *dncv1.CreateListRequest) *dncv1.List {
	n.t.Helper()
	resp, err := n.list.CreateList(testContext(n.t), req)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.GetList()
}

// upload is one import, as a client sends it.
type upload struct {
	header *dncv1.ImportHeader
	chunks [][]uint64 // sent ascending
	commit *dncv1.ImportCommit
}

type uploaded struct {
	opened *dncv1.ImportOpened
	acks   []*dncv1.ImportAck
	phases []dncv1.ImportPhase
	result *dncv1.ImportResult
}

// load sends an import and takes the answers.
func (n *node) load(u upload) (uploaded, error) {
	n.t.Helper()
	var got uploaded
	stream, err := n.list.Import(testContext(n.t))
	if err != nil {
		return got, err
	}
	send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: u.header}})
	first, err := stream.Recv()
	if err != nil {
		return got, err
	}
	got.opened = first.GetOpened()
	for i, c := range u.chunks {
		if seq := uint64(i + 1); seq > got.opened.GetLastChunk() {
			send(stream, chunkRequest(seq, c))
		}
	}
	if u.commit != nil {
		send(stream, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Commit{Commit: u.commit}})
	}
	stream.CloseSend()
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF), u.commit == nil && errorInfo(err).GetReason() == "IMPORT_NOT_COMMITTED":
			return got, nil
		case err != nil:
			return got, err
		case resp.GetAck() != nil:
			got.acks = append(got.acks, resp.GetAck())
		case resp.GetProgress() != nil:
			got.phases = append(got.phases, resp.GetProgress().GetPhase())
		case resp.GetResult() != nil:
			got.result = resp.GetResult()
		}
	}
}

// send drops the error: Recv returns the reason.
func send(stream dncv1.ListService_ImportClient, req *dncv1.ImportRequest) { _ = stream.Send(req) }

func chunkRequest(seq uint64, numbers []uint64) *dncv1.ImportRequest {
	return &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Chunk{Chunk: &dncv1.ImportChunk{Seq: seq, Add: &dncv1.NumberSet{Ascending: ascending(numbers)}}}}
}

func ascending(numbers []uint64) []byte {
	var b []byte
	last := uint64(0)
	for _, n := range slices.Sorted(slices.Values(numbers)) {
		b = binary.AppendUvarint(b, n-last)
		last = n
	}
	return b
}

// replace loads numbers as the whole list.
func (n *node) replace(list, date string, numbers ...uint64) *dncv1.ImportResult {
	n.t.Helper()
	got, err := n.load(upload{
		header: &dncv1.ImportHeader{List: list, SnapshotDate: date},
		chunks: [][]uint64{numbers},
		commit: commitOf(1, len(numbers)),
	})
	if err != nil {
		n.t.Fatal(err)
	}
	if got.result.GetRefused() {
		n.t.Fatalf("load was refused: %v", got.result.GetGuardFailures())
	}
	return got.result
}

func commitOf(chunks, read int) *dncv1.ImportCommit {
	sum := sha256.Sum256([]byte("a file"))
	return &dncv1.ImportCommit{
		Chunks:  uint64(chunks),
		Read:    uint64(read),
		Sources: []*dncv1.ImportSource{{Name: "2026-09-09_415.txt", Sha256: sum[:], Size: 6}},
	}
}

// numbers makes count numbers of +1 415 from 555 0000 on.
func numbers(count int) []uint64 {
	out := make([]uint64, count)
	for i := range out {
		out[i] = 14155550000 + uint64(i)
	}
	return out
}

// digits is a number of the request as it may not turn up elsewhere.
func digits(number string) string { return strings.TrimPrefix(number, "+") }

// serveServer serves s on loopback without HTTP, and returns a connection to it.
func serveServer(t testing.TB, s *server.Server) *grpc.ClientConn {
	t.Helper()
	l := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l, nil) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return conn
}

// atLeast asks for an answer from that position or a later one; an empty journal is any.
func atLeast(revision uint64, journal string) *dncv1.ReadAt {
	return &dncv1.ReadAt{At: &dncv1.ReadAt_AtLeast{AtLeast: &dncv1.Position{Revision: revision, JournalId: journal}}}
}

// past asks for an answer from that revision.
func past(revision uint64) *dncv1.ReadAt {
	return &dncv1.ReadAt{At: &dncv1.ReadAt_Past{Past: &dncv1.Past{Position: &dncv1.Position{Revision: revision}}}}
}

func mask(paths ...string) *fieldmaskpb.FieldMask { return &fieldmaskpb.FieldMask{Paths: paths} }
