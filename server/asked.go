package server

import (
	where "github.com/dncd/dncd/internal/place"
	"github.com/dncd/dncd/internal/policy"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/store"
)

// asked is what a check states beside the number. Checks that ask the same are decided together.
type asked struct {
	scope   policy.Scope
	purpose policy.Purpose
	place   *policy.Place // nil: as the number says
	explain bool          // an ALLOW too
}

// call is what is known of the call before its number is looked up.
func (a *asked) call(at instant) store.Call {
	c := store.Call{Scope: a.scope, Purpose: a.purpose, Ahead: at.ahead}
	if a.place != nil {
		c.Place = *a.place
	}
	return c
}

// purposeOf is the purpose of a call; unset: the one with the strictest rule.
func purposeOf(p dncv1.Purpose) (policy.Purpose, error) {
	switch p {
	case dncv1.Purpose_PURPOSE_UNSPECIFIED, dncv1.Purpose_PURPOSE_MARKETING:
		return policy.Marketing, nil
	case dncv1.Purpose_PURPOSE_SERVICE:
		return policy.Service, nil
	}
	return 0, invalidField("purpose", "has a value that this server does not know")
}

// placeOf is the place that a caller names; nil: none.
func placeOf(name string) (*policy.Place, error) {
	if name == "" {
		return nil, nil
	}
	p, err := where.Parse(name)
	if err != nil {
		return nil, invalidField("place", err.Error())
	}
	return p, nil
}
