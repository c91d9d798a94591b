package server

import (
	"context"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// RevertImport implements dncv1.ListServiceServer.
func (s *listService) RevertImport(ctx context.Context, req *dncv1.RevertImportRequest) (*dncv1.RevertImportResponse, error) {
	l, err := s.findHeld(ctx, s.store.View(), req.GetList())
	if err != nil {
		return nil, err
	}
	guards, err := guardsOf(req.GetGuards())
	if err != nil {
		return nil, err
	}
	by, err := s.request(ctx, req.GetContext(), store.Story{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := s.untilStopping(ctx)
	defer cancel()
	result, err := s.store.Revert(ctx, store.Header{
		List:     l.Name,
		ListID:   l.ID,
		Guards:   guards,
		DryRun:   req.GetDryRun(),
		Override: req.GetGuards().GetOverride(),
		TakeOver: req.GetTakeOver(),
		Request:  by,
	}, func(store.Progress) {})
	s.metrics.wrote(writeLoad, false, err)
	if err != nil {
		return nil, aboutList(l.Name, err)
	}
	if !result.Refused && !result.DryRun {
		s.logAct(ctx, "ListService/RevertImport", l.Name)
	}
	return &dncv1.RevertImportResponse{Result: resultMessage(&result)}, nil
}
