package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// maxOwner is the limit of owners and contacts, in bytes.
const maxOwner = store.MaxOwner

// holdsFilter reports whether a caller may act on a subscriber with that filter: all of its scopes are the caller's. No bound
// caller may act on one of every scope.
func holdsFilter(caller *access.Grant, f feed.Filter) bool {
	return caller.Everywhere() || len(f.Scopes) > 0 && caller.HoldsAll(f.Scopes)
}

// seesFilter reports whether a subscriber with that filter is shown to a caller: the caller sees each of its scopes. One of
// every scope is above those of the caller.
func seesFilter(caller *access.Grant, f feed.Filter) bool {
	return !slices.ContainsFunc(f.Scopes, func(s policy.Scope) bool { return !caller.Sees(s) })
}

// speaksFor reports whether a caller is the identity of a subscriber, and bound to no less than its filter.
func speaksFor(caller *access.Grant, s *store.Subscriber) bool {
	return caller.Roles.Has(access.Subscriber) && s.Identity != "" && s.Identity == caller.Name && holdsFilter(caller, s.Filter)
}

// findSubscriber returns a subscriber that the caller may see. A caller that only speaks for subscribers does not learn which
// others there are.
func findSubscriber(v *store.View, caller *access.Grant, name string) (*store.Subscriber, error) {
	s := v.Subscribers().Named(name)
	if s != nil && speaksFor(caller, s) {
		return s, nil
	}
	if !caller.Roles.Any(access.RolesOf(access.Officer, access.Admin)) {
		return nil, denied("the caller is not the identity of that subscriber")
	}
	if s == nil || !seesFilter(caller, s.Filter) {
		return nil, aboutSubscriber(name, store.ErrSubscriberNotFound)
	}
	return s, nil
}

// aboutSubscriber adds the subscriber to the metadata of an error, unless the name itself is invalid.
func aboutSubscriber(name string, err error) error {
	f := faultOf(err)
	if !policy.IsName(name) { // it may be a person's number
		return f
	}
	return f.with("subscriber", name)
}

// PutSubscriber implements dncv1.PropagationServiceServer.
func (s *propagationService) PutSubscriber(ctx context.Context, req *dncv1.PutSubscriberRequest) (*dncv1.PutSubscriberResponse, error) {
	w, err := s.putSubscriber(ctx, req)
	s.metrics.wrote(writeSubscriber, w.Duplicate, err)
	if err != nil {
		return nil, err
	}
	s.logAct(ctx, "PropagationService/PutSubscriber", req.GetSubscriber().GetName())
	return &dncv1.PutSubscriberResponse{
		Subscriber: subscriberMessage(s.store.View(), w.Subscriber), Position: positionAt(w.Receipt), Duplicate: w.Duplicate, Created: w.Created,
	}, nil
}

func (s *propagationService) putSubscriber(ctx context.Context, req *dncv1.PutSubscriberRequest) (store.SubscriberWrite, error) {
	m := req.GetSubscriber()
	err := checkText(
		field{name: "owner", value: m.GetOwner(), max: maxOwner},
		field{name: "contact", value: m.GetContact(), max: maxOwner},
	)
	if err == nil {
		err = checkFields(req.GetFields(), subscriberFields)
	}
	if err != nil {
		return store.SubscriberWrite{}, err
	}
	by, err := s.repeatable(ctx, req)
	if err != nil {
		return store.SubscriberWrite{}, err
	}
	w, err := once(by, s.store.RepeatedSubscriberWrite, func() (store.SubscriberWrite, error) {
		return s.store.PutSubscriber(ctx, m.GetName(), s.changeOf(ctx, req), req.GetRebase(), by)
	})
	if err != nil {
		return store.SubscriberWrite{}, aboutSubscriber(m.GetName(), err)
	}
	return w, nil
}

const outsideFilter = "an admin that is bound to scopes registers, changes and removes subscribers only whose scopes are all within them"

// changeOf is the change that a request asks for. A bound caller may make it where what was and what will be is within its
// scopes.
func (s *propagationService) changeOf(ctx context.Context, req *dncv1.PutSubscriberRequest) store.SubscriberChange {
	caller := callerOf(ctx)
	return func(v *store.View, old *store.Subscriber, set *store.SubscriberSettings) error {
		if old != nil && !holdsFilter(caller, old.Filter) {
			return s.auth.deny(ctx, "PropagationService/PutSubscriber", outsideFilter)
		}
		c := &subscriberChange{v: v, caller: caller, from: req.GetSubscriber(), to: set}
		for _, name := range slices.Sorted(maps.Keys(subscriberFields)) {
			if old != nil && len(req.GetFields()) > 0 && !slices.Contains(req.GetFields(), name) {
				continue
			}
			if err := subscriberFields[name](c); err != nil {
				return err
			}
		}
		if !holdsFilter(caller, set.Filter) {
			return s.auth.deny(ctx, "PropagationService/PutSubscriber", outsideFilter)
		}
		return nil
	}
}

// checkFields refuses names of fields that are not those of a table.
func checkFields[F any](names []string, table map[string]F) error {
	for _, name := range names {
		if _, known := table[name]; !known {
			return invalidField("fields", "names a field that cannot be changed")
		}
	}
	return nil
}

// subscriberChange takes fields of a request into settings.
type subscriberChange struct {
	v      *store.View
	caller *access.Grant
	from   *dncv1.Subscriber
	to     *store.SubscriberSettings
}

// subscriberFields has, for each field that PutSubscriberRequest.fields may name, what takes it.
var subscriberFields = map[string]func(*subscriberChange) error{
	"name":           func(*subscriberChange) error { return nil },
	"kind":           (*subscriberChange).kind,
	"owner":          func(c *subscriberChange) error { c.to.Owner = c.from.GetOwner(); return nil },
	"parent":         (*subscriberChange).parent,
	"contact":        func(c *subscriberChange) error { c.to.Contact = c.from.GetContact(); return nil },
	"filter.scopes":  (*subscriberChange).scopes,
	"filter.lists":   (*subscriberChange).lists,
	"allow_registry": func(c *subscriberChange) error { c.to.AllowRegistry = c.from.GetAllowRegistry(); return nil },
	"deadline":       (*subscriberChange).deadline,
	"keys":           func(c *subscriberChange) error { c.to.Keys = slices.Clone(c.from.GetKeys()); return nil },
	"identity":       func(c *subscriberChange) error { c.to.Identity = c.from.GetIdentity(); return nil },
}

func (c *subscriberChange) kind() error {
	if c.from.GetKind() == dncv1.SubscriberKind_SUBSCRIBER_KIND_UNSPECIFIED {
		return invalidField("kind", "is missing: internal or subcontractor")
	}
	c.to.Kind = store.SubscriberKind(c.from.GetKind())
	return knownEnum("kind", int32(c.from.GetKind()), dncv1.SubscriberKind_name)
}

func (c *subscriberChange) parent() error {
	name := c.from.GetParent()
	if name == "" {
		c.to.Parent = policy.EventID{}
		return nil
	}
	p := c.v.Subscribers().Named(name)
	if p == nil || !seesFilter(c.caller, p.Filter) {
		f := faultOf(store.ErrSubscriberNotFound)
		f.message = "parent: " + f.message
		return f.with("field", "parent")
	}
	c.to.Parent = p.ID
	return nil
}

func (c *subscriberChange) scopes() error {
	c.to.Filter.Scopes = nil
	for _, text := range c.from.GetFilter().GetScopes() {
		scope, err := scopeOf(text)
		if err != nil {
			return err
		}
		c.to.Filter.Scopes = append(c.to.Filter.Scopes, scope)
	}
	return nil
}

// lists takes lists that the caller sees: a bound one hands on no numbers of others.
func (c *subscriberChange) lists() error {
	c.to.Filter.Lists = nil
	for _, name := range c.from.GetFilter().GetLists() {
		name = strings.ToLower(name)
		l, err := c.v.List(name)
		if err == nil && !c.caller.Sees(l.Scope) {
			err = store.ErrListNotFound
		}
		if err != nil {
			return aboutList(name, err)
		}
		c.to.Filter.Lists = append(c.to.Filter.Lists, l.ID)
	}
	return nil
}

func (c *subscriberChange) deadline() error {
	d := c.from.GetDeadline()
	if d == nil {
		c.to.Deadline = store.DefaultDeadline
		return nil
	}
	c.to.Deadline = d.AsDuration()
	if d.CheckValid() != nil || c.to.Deadline < time.Second {
		return invalidField("deadline", "must be 1 second to 3660 days")
	}
	return nil
}

// DeleteSubscriber implements dncv1.PropagationServiceServer.
func (s *propagationService) DeleteSubscriber(ctx context.Context, req *dncv1.DeleteSubscriberRequest) (*dncv1.DeleteSubscriberResponse, error) {
	receipt, err := s.deleteSubscriber(ctx, req)
	s.metrics.wrote(writeSubscriber, receipt.Duplicate, err)
	if err != nil {
		return nil, err
	}
	s.logAct(ctx, "PropagationService/DeleteSubscriber", req.GetName())
	return &dncv1.DeleteSubscriberResponse{Id: eventID(receipt.ID), Position: positionAt(receipt), Duplicate: receipt.Duplicate}, nil
}

func (s *propagationService) deleteSubscriber(ctx context.Context, req *dncv1.DeleteSubscriberRequest) (store.Receipt, error) {
	by, err := s.repeatable(ctx, req)
	if err != nil {
		return store.Receipt{}, err
	}
	w, err := once(by, s.store.RepeatedSubscriberWrite, func() (w store.SubscriberWrite, err error) {
		one := s.store.View().Subscribers().Named(req.GetName())
		if one == nil {
			return w, store.ErrSubscriberNotFound
		}
		if !holdsFilter(callerOf(ctx), one.Filter) {
			return w, s.auth.deny(ctx, "PropagationService/DeleteSubscriber", outsideFilter)
		}
		w.Receipt, err = s.store.RemoveSubscriber(ctx, one.ID, by)
		return w, err
	})
	if err != nil {
		return store.Receipt{}, aboutSubscriber(req.GetName(), err)
	}
	return w.Receipt, nil
}

// subscriberMessage is a subscriber of a view.
func subscriberMessage(v *store.View, s *store.Subscriber) *dncv1.Subscriber {
	m := &dncv1.Subscriber{
		Name:          s.Name,
		Id:            eventID(s.ID),
		Kind:          dncv1.SubscriberKind(s.Kind),
		Owner:         s.Owner,
		Contact:       s.Contact,
		Filter:        &dncv1.FeedFilter{Scopes: scopeTexts(s.Filter.Scopes), Lists: listNames(v, s.Filter.Lists)},
		AllowRegistry: s.AllowRegistry,
		Deadline:      durationpb.New(s.Deadline),
		Keys:          s.Keys,
		Identity:      s.Identity,
		Epoch:         s.Epoch,
		FilterHash:    s.FilterHash[:],
		CreatedAt:     stamp(s.CreatedAt),
	}
	if p := v.Subscribers().ByID(s.Parent); p != nil {
		m.Parent = p.Name
	}
	for _, key := range s.Verifiers {
		m.Fingerprints = append(m.Fingerprints, key.Fingerprint())
	}
	return m
}

// listNames are the names of lists. One that is gone has none: its id stands for it.
func listNames(v *store.View, ids []policy.EventID) []string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		name := fmt.Sprintf("%d.%d", id.Revision, id.Index)
		if i := slices.IndexFunc(v.Lists(), func(l *store.List) bool { return l.ID == id }); i >= 0 {
			name = v.Lists()[i].Name
		}
		names = append(names, name)
	}
	return names
}
