package server

import (
	"context"
	"slices"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// deskFields has, for each field that PutDeskRequest.fields may name, what takes it.
var deskFields = map[string]func(from *dncv1.Desk, to *store.DeskSettings){
	"name":    func(*dncv1.Desk, *store.DeskSettings) {},
	"kind":    func(from *dncv1.Desk, to *store.DeskSettings) { to.Kind = store.DeskKind(from.GetKind()) },
	"owner":   func(from *dncv1.Desk, to *store.DeskSettings) { to.Owner = from.GetOwner() },
	"contact": func(from *dncv1.Desk, to *store.DeskSettings) { to.Contact = from.GetContact() },
}

// PutDesk implements dncv1.PropagationServiceServer.
func (s *propagationService) PutDesk(ctx context.Context, req *dncv1.PutDeskRequest) (*dncv1.PutDeskResponse, error) {
	w, err := s.putDesk(ctx, req)
	s.metrics.wrote(writeDesk, w.Duplicate, err)
	if err != nil {
		return nil, err
	}
	s.logAct(ctx, "PropagationService/PutDesk", w.Desk.Name)
	return &dncv1.PutDeskResponse{Desk: deskMessage(w.Desk), Position: positionAt(w.Receipt), Duplicate: w.Duplicate, Created: w.Created}, nil
}

func (s *propagationService) putDesk(ctx context.Context, req *dncv1.PutDeskRequest) (store.DeskWrite, error) {
	m := req.GetDesk()
	err := checkText(
		field{name: "name", value: m.GetName(), max: maxDesk},
		field{name: "owner", value: m.GetOwner(), max: maxOwner},
		field{name: "contact", value: m.GetContact(), max: maxOwner},
	)
	if err == nil {
		err = checkFields(req.GetFields(), deskFields)
	}
	if err == nil {
		err = knownEnum("kind", int32(m.GetKind()), dncv1.DeskKind_name)
	}
	if err != nil {
		return store.DeskWrite{}, err
	}
	by, err := s.repeatable(ctx, req)
	if err != nil {
		return store.DeskWrite{}, err
	}
	return once(by, s.store.RepeatedDeskWrite, func() (store.DeskWrite, error) {
		return s.store.PutDesk(ctx, m.GetName(), func(old *store.Desk, set *store.DeskSettings) error {
			for name, take := range deskFields {
				if old == nil || len(req.GetFields()) == 0 || slices.Contains(req.GetFields(), name) {
					take(m, set)
				}
			}
			return nil
		}, by)
	})
}

const desksCall = "ListDesks"

// ListDesks implements dncv1.PropagationServiceServer.
func (s *propagationService) ListDesks(_ context.Context, req *dncv1.ListDesksRequest) (*dncv1.ListDesksResponse, error) {
	v := s.store.View()
	desks := v.Desks().All()
	if req.GetPageToken() != "" {
		cursor, err := s.tokens.read(req.GetPageToken(), desksCall, "")
		if err != nil {
			return nil, err
		}
		desks = v.Desks().After(string(cursor))
	}
	resp := &dncv1.ListDesksResponse{Position: positionOf(v)}
	for _, d := range desks {
		if n := len(resp.Desks); n == pageSize(req.GetPageSize()) {
			resp.NextPageToken = s.tokens.make(desksCall, "", []byte(resp.Desks[n-1].GetName()))
			break
		}
		resp.Desks = append(resp.Desks, deskMessage(d))
	}
	return resp, nil
}

// DeleteDesk implements dncv1.PropagationServiceServer.
func (s *propagationService) DeleteDesk(ctx context.Context, req *dncv1.DeleteDeskRequest) (*dncv1.DeleteDeskResponse, error) {
	w, err := s.deleteDesk(ctx, req)
	s.metrics.wrote(writeDesk, w.Duplicate, err)
	if err != nil {
		return nil, err
	}
	s.logAct(ctx, "PropagationService/DeleteDesk", withoutDigits(req.GetName()))
	return &dncv1.DeleteDeskResponse{Id: eventID(w.ID), Position: positionAt(w.Receipt), Duplicate: w.Duplicate}, nil
}

func (s *propagationService) deleteDesk(ctx context.Context, req *dncv1.DeleteDeskRequest) (store.DeskWrite, error) {
	by, err := s.repeatable(ctx, req)
	if err != nil {
		return store.DeskWrite{}, err
	}
	return once(by, s.store.RepeatedDeskWrite, func() (w store.DeskWrite, err error) {
		d := s.store.View().Desks().Named(req.GetName())
		if d == nil {
			return w, store.ErrDeskNotFound
		}
		w.Receipt, err = s.store.RemoveDesk(ctx, d.ID, by)
		return w, err
	})
}

func deskMessage(d *store.Desk) *dncv1.Desk {
	return &dncv1.Desk{
		Name:      d.Name,
		Id:        eventID(d.ID),
		Kind:      dncv1.DeskKind(d.Kind),
		Owner:     d.Owner,
		Contact:   d.Contact,
		CreatedAt: stamp(d.CreatedAt),
	}
}
