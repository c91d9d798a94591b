package server

import (
	"context"
	"strings"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// feedTarget is whose feed a call reads, and what concerns it.
type feedTarget struct {
	subscriber *store.Subscriber // nil: nobody's
	filter     feed.Filter
}

// query is how the store reads the feed from a cursor on.
func (t *feedTarget) query(after store.FeedCursor) store.FeedQuery {
	q := store.FeedQuery{Filter: t.filter, After: after}
	if t.subscriber != nil {
		q.Subscriber = t.subscriber.ID
	}
	return q
}

// accessed is what the access log says was read: the first scope and the first list stand for the others.
func (t *feedTarget) accessed() (what accessed) {
	if len(t.filter.Scopes) > 0 {
		what.scope = t.filter.Scopes[0]
	}
	return what
}

// feedRequest is a request that names a feed.
type feedRequest interface {
	GetSubscriber() string
	GetFilter() *dncv1.FeedFilter
}

// target finds whose feed a request is about, and refuses a caller who may not read it. Errors: FEED_NOT_READY.
func (s *propagationService) target(ctx context.Context, v *store.View, req feedRequest) (*feedTarget, error) {
	t, err := s.targetOf(ctx, v, req)
	if err != nil {
		return nil, err
	}
	return t, s.store.FeedReady(t.filter)
}

func (s *propagationService) targetOf(ctx context.Context, v *store.View, req feedRequest) (*feedTarget, error) {
	caller := callerOf(ctx)
	switch {
	case req.GetFilter() != nil:
		return s.nobodys(caller, v, req.GetFilter())
	case req.GetSubscriber() == "":
		return nil, invalidField("feed", "is required: name a subscriber, or give a filter")
	}
	sub, err := findSubscriber(v, caller, strings.ToLower(req.GetSubscriber()))
	if err != nil {
		return nil, err
	}
	return &feedTarget{sub, sub.Filter}, mayReadFeed(caller, sub)
}

// feedReaders are the roles that read the feed of every subscriber within their scopes, and feeds that are nobody's.
var feedReaders = access.RolesOf(access.Officer, access.Admin)

// mayReadFeed refuses a caller who is neither the subscriber's identity nor a reader whom no scope keeps from any of its feed.
func mayReadFeed(caller *access.Grant, sub *store.Subscriber) error {
	if speaksFor(caller, sub) || caller.Roles.Any(feedReaders) && holdsFilter(caller, sub.Filter) {
		return nil
	}
	return denied("the caller is not the identity of that subscriber").with("role", (feedReaders | access.RolesOf(access.Subscriber)).String())
}

// nobodys is the feed of a filter within the caller's scopes.
func (s *propagationService) nobodys(caller *access.Grant, v *store.View, m *dncv1.FeedFilter) (*feedTarget, error) {
	if !caller.Roles.Any(feedReaders) {
		return nil, denied("a feed that is nobody's needs the role officer or admin")
	}
	f, err := filterOf(v, m)
	if err != nil {
		return nil, err
	}
	if len(f.Scopes) == 0 {
		f.Scopes = caller.Scopes
	}
	for _, scope := range f.Scopes {
		if err := within(caller, scope); err != nil {
			return nil, err
		}
	}
	for _, id := range f.Lists {
		if l := v.ListByID(id); l != nil && !caller.Sees(l.Scope) {
			return nil, denied(outsideList)
		}
	}
	return &feedTarget{filter: f.Normal()}, nil
}

// filterOf reads a filter. Errors: SCOPE_INVALID, LIST_NOT_FOUND, FIELD_INVALID.
func filterOf(v *store.View, m *dncv1.FeedFilter) (feed.Filter, error) {
	var f feed.Filter
	for _, text := range m.GetScopes() {
		scope, err := scopeOf(text)
		if err != nil {
			return f, err
		}
		if scope == policy.Scope("") {
			return f, invalidField("filter.scopes", "holds an empty scope: name none to have every scope")
		}
		f.Scopes = append(f.Scopes, scope)
	}
	for _, name := range m.GetLists() {
		l, err := v.List(strings.ToLower(name))
		if err != nil {
			return f, err
		}
		f.Lists = append(f.Lists, l.ID)
	}
	f = f.Normal()
	return f, f.Check()
}
