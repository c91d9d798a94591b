package server_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

func header(list string) *dncv1.ImportRequest {
	return &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Header{Header: &dncv1.ImportHeader{List: list, SnapshotDate: "2026-09-09"}}}
}

// openImport opens an import of a list and waits until it has its room.
func openImport(ctx context.Context, conn *grpc.ClientConn, list string) (dncv1.ListService_ImportClient, error) {
	s, err := dncv1.NewListServiceClient(conn).Import(ctx)
	if err != nil {
		return nil, err
	}
	send(s, header(list))
	_, err = s.Recv()
	return s, err
}

// openExport opens an export that is never read, and waits until it has its room.
func openExport(ctx context.Context, conn *grpc.ClientConn, list string) (dncv1.ListService_ExportClient, error) {
	s, err := dncv1.NewListServiceClient(conn).Export(ctx, &dncv1.ExportRequest{List: list})
	if err != nil {
		return nil, err
	}
	_, err = s.Recv() // the header
	return s, err
}

// TestIdleLoadsGiveWay: when imports and exports whose clients send or read nothing hold all the room of loads, another
// gets that of the one which has been idle for longest, and no import that says it has nothing to send yet is cut.
func TestIdleLoadsGiveWay(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(suppression("mine"))
	const listed = 300_000
	chunks := slices.Collect(slices.Chunk(sparse(listed), 100_000))
	if got, err := n.load(upload{header("mine").GetHeader(), chunks, commitOf(len(chunks), listed)}); err != nil || got.result.GetNumbers() != listed {
		t.Fatalf("got %v and %v, want %d numbers", got.result, err, listed)
	}
	s, err := server.New(server.Options{Store: n.store})
	if err != nil {
		t.Fatal(err)
	}
	const idle, room = time.Second, 32
	conn, err := grpc.NewClient(serveServer(t, s).Target(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(4<<20)) // which stay so
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(testContext(t))
	defer cancel()

	honest, err := openImport(ctx, conn, "mine")
	if err != nil {
		t.Fatal(err)
	}
	var keeping sync.WaitGroup
	defer keeping.Wait()
	defer cancel()
	keeping.Go(func() {
		for ctx.Err() == nil {
			send(honest, &dncv1.ImportRequest{})
			time.Sleep(idle / 20)
		}
	})
	first, err := openImport(ctx, conn, "mine")
	if err != nil {
		t.Fatal(err)
	}
	for i := range room - 2 {
		if i%2 == 0 {
			_, err = openExport(ctx, conn, "mine")
		} else {
			_, err = openImport(ctx, conn, "mine")
		}
		if err != nil {
			t.Fatalf("load %d: %v", i, err)
		}
	}
	_, err = openImport(ctx, conn, "mine")
	wantReason(t, err, codes.ResourceExhausted, "OVERLOADED") // no session has been idle for a minute
	s.SetLoadIdle(idle)
	time.Sleep(idle + idle/2)
	for i := range room - 1 {
		if err := openExportSoon(ctx, conn, "mine"); err != nil {
			t.Fatalf("load %d beside idle ones: %v", i, err)
		}
		if i == 0 {
			_, err := first.Recv()
			wantReason(t, err, codes.Aborted, "STREAM_IDLE")
		}
	}
	send(honest, &dncv1.ImportRequest{Frame: &dncv1.ImportRequest_Commit{Commit: commitOf(0, 0)}})
	if answer, err := honest.Recv(); err != nil || answer.GetResult() == nil && answer.GetProgress() == nil {
		t.Errorf("the import that was kept: got %v and %v, want it to go on", answer, err)
	}
}

// openExportSoon tries again while there is no room: on a busy machine one that was cut takes longer to leave than others
// wait for it. Idle ones that are not cut would keep their room for ever.
func openExportSoon(ctx context.Context, conn *grpc.ClientConn, list string) (err error) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if _, err = openExport(ctx, conn, list); status.Code(err) != codes.ResourceExhausted {
			return err
		}
	}
	return err
}

// sparse makes numbers that are far apart, so that an export of them is long.
func sparse(count int) []uint64 {
	out := make([]uint64, count)
	for i := range out {
		out[i] = 14150000000 + uint64(i)*200
	}
	return out
}

// TestLoadsWithoutHeader: a stream that does not say what it loads takes no room, and ends within seconds.
func TestLoadsWithoutHeader(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	ctx := testContext(t)
	var streams []grpc.ClientStream
	for _, method := range []string{
		dncv1.ListService_Import_FullMethodName, dncv1.ListService_Export_FullMethodName,
		dncv1.RecordService_ImportRecords_FullMethodName, dncv1.RecordService_ExportRecords_FullMethodName,
	} {
		for range 16 {
			s, err := n.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
		}
	}
	if _, err := openExport(ctx, n.conn, "us-ftc"); err != nil {
		t.Errorf("beside streams without a header: %v", err)
	}
	start := time.Now()
	for _, s := range streams {
		wantReason(t, s.RecvMsg(new(dncv1.ExportResponse)), codes.Aborted, "STREAM_IDLE")
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("they ended after %v, want some 10 s", took)
	}
}

// TestImportsThatEndWithoutACommit: the end of a stream is no end of an import.
func TestImportsThatEndWithoutACommit(t *testing.T) {
	t.Parallel()
	n := withRegistry(t)
	load, err := openImport(testContext(t), n.conn, "us-ftc")
	if err != nil {
		t.Fatal(err)
	}
	send(load, chunkRequest(1, numbers(10)))
	load.CloseSend()
	for err == nil {
		_, err = load.Recv() // the ack of the chunk first
	}
	wantReason(t, err, codes.Aborted, "IMPORT_NOT_COMMITTED")
	if errorInfo(err).GetMetadata()["import_id"] == "" {
		t.Error("the error lacks the import_id to go on with")
	}

	records, err := n.record.ImportRecords(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	_ = records.Send(&dncv1.ImportRecordsRequest{Frame: &dncv1.ImportRecordsRequest_Header{Header: &dncv1.ImportRecordsHeader{Kind: dncv1.RecordKind_RECORD_KIND_OPT_OUT}}})
	records.CloseSend()
	for err == nil {
		_, err = records.Recv()
	}
	wantReason(t, err, codes.Aborted, "IMPORT_NOT_COMMITTED")
}
