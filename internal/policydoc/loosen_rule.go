package policydoc

import (
	"reflect"
	"slices"

	"github.com/dncd/dncd/internal/policy"
)

func (l *loosening) consent() {
	old, now := &l.old.Consent, &l.now.Consent
	switch {
	case !old.Required:
	case !now.Required:
		l.add("consent", "no consent is required any more")
	case !allWithin(now.Counts, old.Counts):
		l.add("consent", "more consents count, or for longer")
	}
}

func (l *loosening) optOuts() {
	old, now := &l.old.OptOuts, &l.now.OptOuts
	if now.Reach < old.Reach {
		l.add("opt_outs", "opt-outs count for fewer scopes")
	}
	lifts := func(o *policy.OptOutRule) policy.Counts {
		return policy.Counts{Kind: policy.Permission, Form: o.Form, Valid: o.Valid}
	}
	switch {
	case !now.PermissionLifts:
	case !old.PermissionLifts:
		l.add("opt_outs", "a permission lifts an opt-out")
	case !within(lifts(now), lifts(old)):
		l.add("opt_outs", "more permissions lift an opt-out, or for longer")
	}
}

func (l *loosening) service() {
	if l.now.Service.Permitted && !l.old.Service.Permitted && (l.old.Consent.Required || l.old.Hours != nil || len(l.old.Banned) > 0) {
		l.add("service", "calls for service are permitted without consent, at any hour")
	}
}

func (l *loosening) bans() {
	for i := range l.old.Banned {
		old := &l.old.Banned[i]
		stands := func(now policy.Ban) bool { return now.Scope.Holds(old.Scope) && allWithin(now.Except, old.Except) }
		if !slices.ContainsFunc(l.now.Banned, stands) {
			l.add("banned", "the ban of "+scopeText(old.Scope)+" ends, is narrower, or has more exceptions")
		}
	}
}

func scopeText(s policy.Scope) string {
	if s == "" {
		return "everyone"
	}
	return string(s)
}

func (l *loosening) hours() {
	old, now := l.old.Hours, l.now.Hours
	switch {
	case old == nil:
		return
	case now == nil:
		l.add("hours", "calling hours are not checked any more")
		return
	case !hoursWithin(now, old):
		l.add("hours", "calls are permitted at more times")
	}
	switch {
	case old.Holidays == nil:
	case now.Holidays == nil:
		l.add("hours", "calls are permitted on public holidays")
	case old.Holidays.AnyRegion != nil && now.Holidays.AnyRegion == nil:
		l.add("hours", "calls are permitted on regional holidays")
	case !l.same || !sameDays(old.Holidays, now.Holidays):
		l.add("hours", "other days are public holidays")
	}
}

// sameDays reports whether the same days are holidays, or, if regional ones counted neither before nor count now, those of the
// whole country.
func sameDays(old, now *policy.Holidays) bool {
	if len(old.Regional) == 0 && len(old.AnyRegion) == 0 {
		old, now = withoutRegional(old), withoutRegional(now)
	}
	return reflect.DeepEqual(old, now)
}

// hoursWithin reports whether every minute that is open now was open before.
func hoursWithin(now, old *policy.Hours) bool {
	for day := range now.Open {
		for _, s := range now.Open[day] {
			for minute := s.From; minute < s.To; minute++ {
				if !slices.ContainsFunc(old.Open[day], func(o policy.Span) bool { return o.From <= minute && minute < o.To }) {
					return false
				}
			}
		}
	}
	return true
}

// allWithin reports whether every consent that counts by one of some rules counts by one of others too.
func allWithin(now, old []policy.Counts) bool {
	for _, c := range now {
		if !slices.ContainsFunc(old, func(o policy.Counts) bool { return within(c, o) }) {
			return false
		}
	}
	return true
}

// within reports whether every consent that a counts b counts too, for as long.
func within(a, b policy.Counts) bool {
	return a.Kind == b.Kind && (b.Form == policy.FormUnspecified || a.Form == b.Form) &&
		(b.Valid.IsZero() || !a.Valid.IsZero() && noLonger(a.Valid, b.Valid)) && noLonger(a.AfterEnd, b.AfterEnd)
}

// noLonger reports whether a ends no later than b, from whatever day they count.
func noLonger(a, b policy.Period) bool {
	return a.Months <= b.Months && a.Days <= b.Days || 31*a.Months+a.Days <= 28*b.Months+b.Days
}
