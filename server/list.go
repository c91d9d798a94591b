package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

type listService struct {
	dncv1.UnimplementedListServiceServer
	service
}

// listName folds a name as the contract has it.
func listName(name string) (string, error) {
	if name == "" {
		return "", refuse(dncv1.ErrorReason_ERROR_REASON_LIST_NAME_INVALID, "name is missing: name the list", "field", "name")
	}
	return strings.ToLower(name), nil
}

// find returns a list by its name.
func (s *listService) find(name string) (*store.View, *store.List, error) {
	v := s.store.View()
	name, err := listName(name)
	if err != nil {
		return nil, nil, err
	}
	l, err := v.List(name)
	if err != nil {
		return nil, nil, s.aboutList(name, err)
	}
	return v, l, nil
}

// aboutList names the list in the metadata of an error, unless the name itself is at fault.
func (s *listService) aboutList(name string, err error) error {
	f := faultOf(err)
	if store.CheckListName(name) != nil { // it may be a person's number
		return f
	}
	return f.with("list", name)
}

// CreateList implements dncv1.ListServiceServer.
func (s *listService) CreateList(ctx context.Context, req *dncv1.CreateListRequest) (*dncv1.CreateListResponse, error) {
	l, receipt, err := s.createList(ctx, req)
	s.metrics.wrote(writeList, receipt.Duplicate, err)
	if err != nil {
		return nil, err
	}
	return &dncv1.CreateListResponse{
		List:      s.message(l),
		Revision:  receipt.ID.Revision,
		JournalId: receipt.JournalID,
	}, nil
}

func (s *listService) createList(ctx context.Context, req *dncv1.CreateListRequest) (*store.List, store.Receipt, error) {
	name, err := listName(req.GetName())
	if err != nil {
		return nil, store.Receipt{}, err
	}
	settings, err := newSettings(req)
	if err != nil {
		return nil, store.Receipt{}, err
	}
	by, err := s.request(ctx, "", req.GetRecordedBy(), store.Story{})
	if err != nil {
		return nil, store.Receipt{}, err
	}
	l, receipt, err := s.store.CreateList(ctx, name, settings, by)
	if err != nil {
		return nil, receipt, s.aboutList(name, err)
	}
	return l, receipt, nil
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

// regionCodes folds the codes of a jurisdiction and checks them.
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

// maxAgeDays reads a max age of whole days, at least least; unset is none.
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
func (s *listService) GetList(_ context.Context, req *dncv1.GetListRequest) (*dncv1.GetListResponse, error) {
	v, l, err := s.find(req.GetName())
	if err != nil {
		return nil, err
	}
	m, err := s.messageWithImports(v, l)
	if err != nil {
		return nil, err
	}
	return &dncv1.GetListResponse{List: m, Revision: v.Revision(), JournalId: v.JournalID()}, nil
}

const listsCall = "ListLists"

// ListLists implements dncv1.ListServiceServer.
func (s *listService) ListLists(_ context.Context, req *dncv1.ListListsRequest) (*dncv1.ListListsResponse, error) {
	v := s.store.View()
	after := ""
	if req.GetPageToken() != "" {
		cursor, err := s.tokens.read(req.GetPageToken(), listsCall, "")
		if err != nil {
			return nil, err
		}
		after = string(cursor)
	}
	resp := &dncv1.ListListsResponse{Revision: v.Revision(), JournalId: v.JournalID()}
	bytes := 0
	for _, l := range v.Lists() {
		if l.Name <= after {
			continue
		}
		m, err := s.messageWithImports(v, l)
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
	l, receipt, err := s.updateList(ctx, req)
	s.metrics.wrote(writeList, receipt.Duplicate, err)
	if err != nil {
		return nil, err
	}
	return &dncv1.UpdateListResponse{
		List:      s.message(l),
		Revision:  receipt.ID.Revision,
		JournalId: receipt.JournalID,
	}, nil
}

func (s *listService) updateList(ctx context.Context, req *dncv1.UpdateListRequest) (*store.List, store.Receipt, error) {
	name, err := listName(req.GetName())
	if err != nil {
		return nil, store.Receipt{}, err
	}
	change, err := settingsChange(req)
	if err != nil {
		return nil, store.Receipt{}, err
	}
	by, err := s.request(ctx, "", req.GetRecordedBy(), store.Story{})
	if err != nil {
		return nil, store.Receipt{}, err
	}
	by.Confirmed = req.GetConfirm()
	l, receipt, err := s.store.UpdateList(ctx, name, change, by)
	if err != nil {
		return nil, receipt, s.aboutList(name, err)
	}
	return l, receipt, nil
}

// settingsChange is what a request changes; what it leaves unset stays.
func settingsChange(req *dncv1.UpdateListRequest) (func(*store.Settings), error) {
	if req.GetJurisdiction() == nil && req.GetCoverage() == nil && req.GetMaxAge() == nil {
		return nil, invalidField("jurisdiction", "or coverage or max_age must be set: there is nothing to change")
	}
	regions, err := regionCodes(req.GetJurisdiction().GetRegions())
	if err != nil {
		return nil, err
	}
	age, err := maxAgeDays(req.GetMaxAge(), 0)
	if err != nil {
		return nil, err
	}
	return func(set *store.Settings) {
		if req.GetJurisdiction() != nil {
			set.Jurisdiction = regions
		}
		if req.GetCoverage() != nil {
			set.Coverage = req.GetCoverage().GetPrefixes()
		}
		if req.GetMaxAge() != nil {
			set.MaxAgeDays = age
		}
	}, nil
}

// DeleteList implements dncv1.ListServiceServer.
func (s *listService) DeleteList(ctx context.Context, req *dncv1.DeleteListRequest) (*dncv1.DeleteListResponse, error) {
	resp, err := s.deleteList(ctx, req)
	s.metrics.wrote(writeList, false, err)
	return resp, err
}

func (s *listService) deleteList(ctx context.Context, req *dncv1.DeleteListRequest) (*dncv1.DeleteListResponse, error) {
	_, l, err := s.find(req.GetName())
	if err != nil {
		return nil, err
	}
	by, err := s.request(ctx, "", req.GetRecordedBy(), store.Story{})
	if err != nil {
		return nil, err
	}
	by.Confirmed = req.GetConfirm()
	receipt, err := s.store.DeleteList(ctx, l.ID, by) // not by name: another list may have it by now
	if err != nil {
		return nil, s.aboutList(l.Name, err)
	}
	return &dncv1.DeleteListResponse{
		Revision:  receipt.ID.Revision,
		JournalId: receipt.JournalID,
		Numbers:   l.Numbers,
	}, nil
}
