package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type listService struct {
	dncv1.UnimplementedListServiceServer
	service
}

// listName folds a name as the contract says.
func listName(name string) (string, error) {
	if name == "" {
		return "", refuse(dncv1.ErrorReason_ERROR_REASON_LIST_NAME_INVALID, "name is missing: name the list", "field", "name")
	}
	return strings.ToLower(name), nil
}

// find returns a list of a view by its name.
func (s *listService) find(v *store.View, name string) (*store.List, error) {
	name, err := listName(name)
	if err != nil {
		return nil, err
	}
	l, err := v.List(name)
	if err != nil {
		return nil, aboutList(name, err)
	}
	return l, nil
}

// findFor returns a list that the caller may see. Any other list is not there.
func (s *listService) findFor(v *store.View, caller *access.Grant, name string) (*store.List, error) {
	l, err := s.find(v, name)
	if err == nil && !caller.Sees(l.Scope) {
		return nil, aboutList(l.Name, store.ErrListNotFound)
	}
	return l, err
}

// findHeld returns a list that the caller may act on. The call was let in by the list's name, which another list may have
// by now: what acts on the list takes its id.
func (s *listService) findHeld(ctx context.Context, v *store.View, name string) (*store.List, error) {
	l, err := s.find(v, name)
	if err == nil && !callerOf(ctx).Holds(l.Scope) {
		return nil, denied(outsideList)
	}
	return l, err
}

// aboutList adds the list to the metadata of an error, unless the name itself is invalid.
func aboutList(name string, err error) error {
	f := faultOf(err)
	if store.CheckListName(name) != nil { // it may be a person's number
		return f
	}
	return f.with("list", name)
}

// CreateList implements dncv1.ListServiceServer.
func (s *listService) CreateList(ctx context.Context, req *dncv1.CreateListRequest) (*dncv1.CreateListResponse, error) {
	w, err := s.createList(ctx, req)
	s.metrics.wrote(writeList, w.Duplicate, err)
	if err != nil {
		return nil, err
	}
	s.logAct(ctx, "ListService/CreateList", strings.ToLower(req.GetName()))
	return &dncv1.CreateListResponse{List: s.message(w.List), Position: positionAt(w.Receipt), Duplicate: w.Duplicate}, nil
}

func (s *listService) createList(ctx context.Context, req *dncv1.CreateListRequest) (store.ListWrite, error) {
	name, err := listName(req.GetName())
	if err != nil {
		return store.ListWrite{}, err
	}
	settings, err := newSettings(req)
	if err != nil {
		return store.ListWrite{}, err
	}
	by, err := s.repeatable(ctx, req)
	if err != nil {
		return store.ListWrite{}, err
	}
	return s.once(name, by, func() (store.ListWrite, error) {
		l, receipt, err := s.store.CreateList(ctx, name, settings, by)
		return store.ListWrite{Receipt: receipt, List: l}, err
	})
}

// once makes a list write once for each request id.
func (s *listService) once(name string, by store.Request, write func() (store.ListWrite, error)) (store.ListWrite, error) {
	w, err := once(by, s.store.RepeatedListWrite, write)
	if err != nil {
		return store.ListWrite{}, aboutList(name, err)
	}
	return w, nil
}

func newSettings(req *dncv1.CreateListRequest) (store.Settings, error) {
	set := store.Settings{Kind: policy.ListKind(req.GetKind()), Coverage: req.GetCoverage()}
	err := knownEnum("kind", int32(req.GetKind()), dncv1.ListKind_name)
	if err != nil {
		return set, err
	}
	if set.Kind == policy.ListUnspecified {
		return set, invalidField("kind", "is missing: registry, suppression or litigator")
	}
	if set.Scope, err = scopeOf(req.GetScope()); err != nil {
		return set, err
	}
	if set.Jurisdiction, err = regionCodes(req.GetJurisdiction()); err != nil {
		return set, err
	}
	set.MaxAgeDays, err = maxAgeDays(req.GetMaxAge(), 1)
	return set, err
}

// regionCodes folds and checks the codes of a jurisdiction.
func regionCodes(codes []string) ([]string, error) {
	out := make([]string, 0, len(codes))
	for _, c := range codes {
		r, err := parseRegion(c)
		if err != nil {
			return nil, faultOf(err).with("field", "jurisdiction")
		}
		if r == 0 {
			return nil, invalidField("jurisdiction", "holds an empty region: leave it out")
		}
		out = append(out, r.String())
	}
	return out, nil
}

const day = 24 * time.Hour

// maxAgeDays reads a max age of whole days, at least least. Unset means none.
func maxAgeDays(d *durationpb.Duration, least int) (int, error) {
	if d == nil {
		return 0, nil
	}
	age := d.AsDuration()
	if d.CheckValid() != nil || age%day != 0 || age < time.Duration(least)*day || age > store.MaxAgeDays*day {
		return 0, invalidField("max_age", fmt.Sprintf("must be whole days, %d to %d", least, store.MaxAgeDays))
	}
	return int(age / day), nil
}

// GetList implements dncv1.ListServiceServer.
func (s *listService) GetList(ctx context.Context, req *dncv1.GetListRequest) (*dncv1.GetListResponse, error) {
	v, caller := s.store.View(), callerOf(ctx)
	l, err := s.findFor(v, caller, req.GetName())
	if err != nil {
		return nil, err
	}
	m, err := s.messageWithImports(v, caller, l)
	if err != nil {
		return nil, err
	}
	return &dncv1.GetListResponse{List: m, Position: positionOf(v)}, nil
}

const listsCall = "ListLists"

// ListLists implements dncv1.ListServiceServer.
func (s *listService) ListLists(ctx context.Context, req *dncv1.ListListsRequest) (*dncv1.ListListsResponse, error) {
	v, caller := s.store.View(), callerOf(ctx)
	after := ""
	if req.GetPageToken() != "" {
		cursor, err := s.tokens.read(req.GetPageToken(), listsCall, "")
		if err != nil {
			return nil, err
		}
		after = string(cursor)
	}
	resp := &dncv1.ListListsResponse{Position: positionOf(v)}
	bytes := 0
	for _, l := range v.Lists() {
		if l.Name <= after || !caller.Sees(l.Scope) {
			continue
		}
		m, err := s.messageWithImports(v, caller, l)
		if err != nil {
			return nil, err
		}
		bytes += proto.Size(m)
		if n := len(resp.Lists); n == pageSize(req.GetPageSize()) || (n > 0 && bytes > pageBytes) {
			resp.NextPageToken = s.tokens.make(listsCall, "", []byte(resp.Lists[n-1].GetName()))
			break
		}
		resp.Lists = append(resp.Lists, m)
	}
	return resp, nil
}

// UpdateList implements dncv1.ListServiceServer.
func (s *listService) UpdateList(ctx context.Context, req *dncv1.UpdateListRequest) (*dncv1.UpdateListResponse, error) {
	w, err := s.updateList(ctx, req)
	s.metrics.wrote(writeList, w.Duplicate, err)
	if err != nil {
		return nil, err
	}
	s.logAct(ctx, "ListService/UpdateList", strings.ToLower(req.GetList().GetName()))
	return &dncv1.UpdateListResponse{
		List: s.message(w.List), Position: positionAt(w.Receipt), Duplicate: w.Duplicate, Id: eventID(w.ID),
	}, nil
}

func (s *listService) updateList(ctx context.Context, req *dncv1.UpdateListRequest) (store.ListWrite, error) {
	name, err := listName(req.GetList().GetName())
	if err != nil {
		return store.ListWrite{}, err
	}
	change, err := settingsChange(req)
	if err != nil {
		return store.ListWrite{}, err
	}
	by, err := s.repeatable(ctx, req)
	if err != nil {
		return store.ListWrite{}, err
	}
	by.Confirmed = req.GetForce()
	return s.once(name, by, func() (store.ListWrite, error) {
		l, err := s.findHeld(ctx, s.store.View(), name)
		if err != nil {
			return store.ListWrite{}, err
		}
		l, receipt, err := s.store.UpdateList(ctx, l.ID, change, by)
		return store.ListWrite{Receipt: receipt, List: l}, err
	})
}

// settingsChange is what a request changes: the settings that its mask names.
func settingsChange(req *dncv1.UpdateListRequest) (func(*store.Settings), error) {
	if len(req.GetUpdateMask().GetPaths()) == 0 {
		return nil, invalidField("update_mask", "is missing: name the settings to change, such as coverage")
	}
	regions, err := regionCodes(req.GetList().GetJurisdiction())
	if err != nil {
		return nil, err
	}
	age, err := maxAgeDays(req.GetList().GetMaxAge(), 0)
	if err != nil {
		return nil, err
	}
	changes := map[string]func(*store.Settings){
		"jurisdiction": func(set *store.Settings) { set.Jurisdiction = regions },
		"coverage":     func(set *store.Settings) { set.Coverage = req.GetList().GetCoverage() },
		"max_age":      func(set *store.Settings) { set.MaxAgeDays = age },
	}
	for _, path := range req.GetUpdateMask().GetPaths() {
		if changes[path] == nil {
			return nil, invalidField("update_mask", "may name jurisdiction, coverage and max_age: the rest of a list does not change")
		}
	}
	return func(set *store.Settings) {
		for _, path := range req.GetUpdateMask().GetPaths() {
			changes[path](set)
		}
	}, nil
}

// DeleteList implements dncv1.ListServiceServer.
func (s *listService) DeleteList(ctx context.Context, req *dncv1.DeleteListRequest) (*dncv1.DeleteListResponse, error) {
	w, err := s.deleteList(ctx, req)
	s.metrics.wrote(writeList, w.Duplicate, err)
	if err != nil {
		return nil, err
	}
	s.logAct(ctx, "ListService/DeleteList", strings.ToLower(req.GetName()))
	return &dncv1.DeleteListResponse{
		Position: positionAt(w.Receipt), Numbers: w.Numbers, Duplicate: w.Duplicate, Id: eventID(w.ID),
	}, nil
}

func (s *listService) deleteList(ctx context.Context, req *dncv1.DeleteListRequest) (store.ListWrite, error) {
	name, err := listName(req.GetName())
	if err != nil {
		return store.ListWrite{}, err
	}
	by, err := s.repeatable(ctx, req)
	if err != nil {
		return store.ListWrite{}, err
	}
	by.Confirmed = req.GetForce()
	return s.once(name, by, func() (store.ListWrite, error) {
		l, err := s.findHeld(ctx, s.store.View(), name)
		if err != nil {
			return store.ListWrite{}, err
		}
		receipt, err := s.store.DeleteList(ctx, l.ID, by)
		return store.ListWrite{Receipt: receipt, Numbers: l.Numbers}, err
	})
}
