package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/dncd/dncd/internal/access"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// authorizer decides whether a caller may make a call of one RPC.
type authorizer struct {
	method  string // as "ListService/DeleteList"
	rule    access.Rule
	known   bool // the table has a rule
	store   *store.Store
	refused *refusals
}

const contractPackage = "dnc.v1."

// newAuthorizer returns the authorizer of the RPC by its full name, "dnc.v1.ListService/DeleteList".
func newAuthorizer(s *store.Store, refused *refusals, rpc string) *authorizer {
	rule, known := access.Rules[rpc]
	return &authorizer{method: strings.TrimPrefix(rpc, contractPackage), rule: rule, known: known, store: s, refused: refused}
}

// call checks the caller's roles, before the request is read. A caller with a grant may make no call without a rule.
func (a *authorizer) call(ctx context.Context, g *access.Grant) error {
	if g == access.Open {
		return nil
	}
	if !a.known {
		return refuse(dncv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, "no role may make this call")
	}
	if a.rule.Roles != 0 && !g.Roles.Any(a.rule.Roles) {
		return a.deny(ctx, g, fmt.Sprintf("this call needs the role %v", a.rule.Roles))
	}
	if a.rule.Bound == access.Unbounded && !g.Everywhere() {
		return a.deny(ctx, g, fmt.Sprintf("this call needs the role %v everywhere", a.rule.Roles))
	}
	return nil
}

// request lets a caller ask for what a request holds, where the rule binds its scope or its list. What does not parse is
// left to the handler, which refuses it.
func (a *authorizer) request(ctx context.Context, g *access.Grant, req any) error {
	if g.Everywhere() {
		return nil
	}
	switch a.rule.Bound {
	case access.RequestScope:
		scope, err := policy.ParseScope(req.(interface{ GetScope() string }).GetScope())
		if err == nil && !g.Holds(scope) {
			return a.deny(ctx, g, outside(scope))
		}
	case access.ListScope:
		l, err := a.store.View().List(strings.ToLower(listOf(req)))
		if err == nil && !g.Holds(l.Scope) {
			return a.deny(ctx, g, outsideList)
		}
	}
	return nil
}

// outside says that a caller may not act at a scope.
func outside(scope policy.Scope) string {
	if scope == "" {
		return "the caller's roles are bound to scopes: name one of them, or one below"
	}
	return "the scope is outside the caller's scopes"
}

const outsideList = "the list is outside the caller's scopes"

// listOf returns the name of the list that a request is about.
func listOf(req any) string {
	switch r := req.(type) {
	case *dncv1.UpdateListRequest:
		return r.GetList().GetName()
	case *dncv1.ImportRequest:
		return r.GetHeader().GetList()
	case interface{ GetList() string }:
		return r.GetList()
	case interface{ GetName() string }:
		return r.GetName()
	}
	return ""
}

// deny refuses a call. The refusal of an administrative act is logged.
func (a *authorizer) deny(ctx context.Context, g *access.Grant, why string) error {
	if a.rule.Act {
		a.refused.note(ctx, "act refused", "method", a.method, "caller", g.Name, "reason", why, "peer", peerAddress(ctx))
	}
	return denied(why).with("role", a.rule.Roles.String())
}

func denied(why string) *fault {
	return refuse(dncv1.ErrorReason_ERROR_REASON_PERMISSION_DENIED, why)
}

// within refuses a scope that the caller's grant does not hold.
func within(g *access.Grant, scope policy.Scope) error {
	if g.Holds(scope) {
		return nil
	}
	return denied(outside(scope)).with("scope", string(scope))
}

// checkRoles are the roles that make checks.
var checkRoles = access.Rules[contractPackage+"CheckService/CheckNumber"].Roles

// mayCheck reports whether a caller may check numbers at scope.
func mayCheck(g *access.Grant, scope policy.Scope) bool {
	return g.Roles.Any(checkRoles) && g.Holds(scope)
}
