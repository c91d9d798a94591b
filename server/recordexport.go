package server

import (
	"context"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type recordExportStream = grpc.ServerStreamingServer[dncv1.ExportRecordsResponse]

// ExportRecords implements dncv1.RecordServiceServer.
func (s *recordService) ExportRecords(req *dncv1.ExportRecordsRequest, stream recordExportStream) error {
	v, err := s.exportView(stream.Context(), req)
	if err != nil {
		return err
	}
	caller := callerOf(stream.Context())
	inScope, err := scopeFilter(caller, req)
	if err != nil {
		return err
	}
	kind := policy.RecordKind(req.GetKind())
	keep := func(r *store.RecordDetail) bool {
		return (kind == policy.RecordUnspecified || r.Kind == kind) && inScope(r)
	}
	if err := s.noteAccess(stream.Context(), "RecordService/ExportRecords", accessed{scope: policy.Scope(strings.ToLower(req.GetScope()))}); err != nil {
		return err
	}
	ctx, cancel := s.untilStopping(stream.Context())
	defer cancel()
	err = s.exportRecords(ctx, v, req.GetInForceOnly(), keep, stream)
	if err != nil && ctx.Err() != nil && stream.Context().Err() == nil {
		return store.ErrClosed
	}
	return err
}

// exportView returns the view that an export of records reads.
func (s *recordService) exportView(ctx context.Context, req *dncv1.ExportRecordsRequest) (*store.View, error) {
	if err := knownEnum("kind", int32(req.GetKind()), dncv1.RecordKind_name); err != nil {
		return nil, err
	}
	return s.view(ctx, req.GetReadAt())
}

// scopeFilter keeps the records at the request's scope, above and below it, that the caller may see. Without a scope it
// keeps all of those.
func scopeFilter(caller *access.Grant, req *dncv1.ExportRecordsRequest) (func(*store.RecordDetail) bool, error) {
	if req.Scope == nil {
		return func(r *store.RecordDetail) bool { return caller.Sees(r.Scope) }, nil
	}
	scope, err := scopeOf(req.GetScope())
	if err != nil {
		return nil, err
	}
	return func(r *store.RecordDetail) bool {
		return caller.Sees(r.Scope) && (r.Scope.Holds(scope) || scope.Holds(r.Scope))
	}, nil
}

func (s *recordService) exportRecords(
	ctx context.Context, v *store.View, inForce bool, keep func(*store.RecordDetail) bool, stream recordExportStream,
) error {
	at := instantOf(v)
	err := stream.Send(&dncv1.ExportRecordsResponse{Frame: &dncv1.ExportRecordsResponse_Header{Header: &dncv1.ExportRecordsHeader{
		Position: positionOf(v), CheckedAt: stamp(at.now),
	}}})
	if err != nil {
		return err
	}
	e := &recordExporter{stream: stream}
	for n, err := range v.Records(ctx, at.byClock(), inForce, keep) {
		if err != nil {
			return err
		}
		e.numbers++
		for i := range n.Records {
			m := &dncv1.ExportedRecord{Number: n.Number.E164(), Record: recordMessage(callerOf(ctx), &n.Records[i], at.byClock())}
			if err := e.add(m); err != nil {
				return err
			}
		}
	}
	return e.finish()
}

// recordExporter packs records into chunks and adds up the summary.
type recordExporter struct {
	stream           recordExportStream
	chunk            []*dncv1.ExportedRecord
	bytes            int
	records, numbers uint64
}

func (e *recordExporter) add(m *dncv1.ExportedRecord) error {
	e.records++
	e.chunk = append(e.chunk, m)
	if e.bytes += proto.Size(m); e.bytes < exportChunkBytes {
		return nil
	}
	return e.flush()
}

func (e *recordExporter) flush() error {
	if len(e.chunk) == 0 {
		return nil
	}
	err := e.stream.Send(&dncv1.ExportRecordsResponse{Frame: &dncv1.ExportRecordsResponse_Chunk{
		Chunk: &dncv1.ExportRecordsChunk{Records: e.chunk},
	}})
	e.chunk, e.bytes = nil, 0
	return err
}

func (e *recordExporter) finish() error {
	if err := e.flush(); err != nil {
		return err
	}
	return e.stream.Send(&dncv1.ExportRecordsResponse{Frame: &dncv1.ExportRecordsResponse_Summary{
		Summary: &dncv1.ExportRecordsSummary{Records: e.records, Numbers: e.numbers},
	}})
}
