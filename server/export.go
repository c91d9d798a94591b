package server

import (
	"context"

	"google.golang.org/grpc"

	"github.com/dncd/dncd/internal/ascending"
	"github.com/dncd/dncd/internal/phone"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type exportStream = grpc.ServerStreamingServer[dncv1.ExportResponse]

// Export implements dncv1.ListServiceServer.
func (s *listService) Export(req *dncv1.ExportRequest, stream exportStream) error {
	v, err := s.view(stream.Context(), req.GetReadAt())
	if err != nil {
		return err
	}
	l, err := s.findHeld(stream.Context(), v, req.GetList())
	if err != nil {
		return err
	}
	if err := s.noteAccess(stream.Context(), "ListService/Export", accessed{list: l.Name}); err != nil {
		return err
	}
	ctx, cancel := s.untilStopping(stream.Context())
	defer cancel()
	err = s.export(ctx, v, l, stream)
	if err != nil && ctx.Err() != nil && stream.Context().Err() == nil {
		return store.ErrClosed
	}
	return err
}

func (s *listService) export(ctx context.Context, v *store.View, l *store.List, stream exportStream) error {
	m, err := s.messageWithImports(v, callerOf(ctx), l)
	if err != nil {
		return err
	}
	err = stream.Send(&dncv1.ExportResponse{Frame: &dncv1.ExportResponse_Header{Header: &dncv1.ExportHeader{
		List:     m,
		Position: positionOf(v),
	}}})
	if err != nil {
		return err
	}
	e := &exporter{stream: stream, sum: ascending.NewHash[phone.Number]()}
	for numbers, err := range v.Export(ctx, l) {
		if err != nil {
			return err
		}
		if err := e.add(numbers); err != nil {
			return err
		}
	}
	return e.finish()
}

// exporter packs numbers into chunks and adds up the summary.
type exporter struct {
	stream exportStream
	chunk  []byte
	last   phone.Number // in this chunk
	sum    *ascending.Hash[phone.Number]
}

// exportChunkBytes is the size at which a chunk is sent. It may hold the numbers of one more block.
const exportChunkBytes = 256 << 10

func (e *exporter) add(numbers []phone.Number) error {
	if len(numbers) == 0 {
		return nil
	}
	e.sum.Add(numbers)
	e.chunk = ascending.Append(e.chunk, e.last, numbers...)
	e.last = numbers[len(numbers)-1]
	if len(e.chunk) < exportChunkBytes {
		return nil
	}
	return e.flush()
}

func (e *exporter) flush() error {
	if len(e.chunk) == 0 {
		return nil
	}
	err := e.stream.Send(&dncv1.ExportResponse{Frame: &dncv1.ExportResponse_Chunk{Chunk: &dncv1.ExportChunk{Ascending: e.chunk}}})
	e.chunk, e.last = e.chunk[:0], 0
	return err
}

func (e *exporter) finish() error {
	if err := e.flush(); err != nil {
		return err
	}
	return e.stream.Send(&dncv1.ExportResponse{Frame: &dncv1.ExportResponse_Summary{Summary: &dncv1.ExportSummary{
		Numbers:       e.sum.Count(),
		ContentSha256: e.sum.Sum(),
	}}})
}
