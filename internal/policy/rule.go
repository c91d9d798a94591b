package policy

import (
	"slices"
	"time"

	"github.com/dncd/dncd/internal/phone"
)

// Policy is the rules that a company holds itself to, by country. It never changes. A nil Policy is none: then every list
// speaks for itself, and no rule does.
type Policy struct {
	// Version names it in answers.
	Version string
	// AllowUnnamed: a country that it does not name is answered as without a policy. Otherwise it is Unknown, NoRule.
	AllowUnnamed bool
	// Countries are its rules, in the order of their codes. No region is in two of them.
	Countries []Country
	// Unreadable: its rules are not known, so whatever does not block is Unknown, PolicyUnreadable.
	Unreadable bool
}

// Country is the rules for the numbers of some regions.
type Country struct {
	Code    string          // ISO 3166, such as US
	Regions phone.RegionSet // with its territories
	Rule    *Rule           // for every scope that Scoped does not name
	Scoped  []*Rule         // for a scope and below; of several the narrowest applies
}

// Rule is what holds for calls to numbers of one country from one scope. Sections left empty ask for nothing.
type Rule struct {
	Name    string          // such as FR, or FR at acme/energy
	Scope   Scope           // of the callers it is for; empty: all
	Regions phone.RegionSet // of its country
	Consent ConsentRule
	OptOuts OptOutRule
	Lists   []ListRule // by name before by kind: the first that fits a list applies
	Hours   *Hours     // nil: not checked
	Banned  []Ban
	Service ServiceRule

	missing bool // the policy does not name the country
	unread  bool // the policy cannot be read
}

// ConsentRule says whether a call needs a consent, and which count.
type ConsentRule struct {
	Required bool
	Counts   []Counts
	Source   string
}

// Reach is how far an opt-out counts beyond its own scope.
type Reach uint8

// The reaches, each wider than the previous.
const (
	ReachScope    Reach = iota // its scope and below
	ReachBrand                 // every scope with the same first segment
	ReachEveryone              // every scope
)

// OptOutRule says how far opt-outs count and what lifts them.
type OptOutRule struct {
	Reach           Reach
	PermissionLifts bool        // a later permission that may lift does
	Form            ConsentForm // that such a permission must have
	Valid           Period      // how long it lifts; zero: until it expires
	Source          string
}

// lifts reports whether a consent lifts an opt-out that stands at a scope, its own or as wide as it reaches, and until when; zero:
// without end.
func (o *OptOutRule) lifts(consent, optOut *Record, at Scope, now time.Time) (until time.Time, is bool) {
	if !o.PermissionLifts || !consent.Consent.MayLift || !at.Holds(consent.Scope) ||
		!consent.ReceivedAt.After(optOut.ReceivedAt) {
		return time.Time{}, false
	}
	counts := Counts{Kind: Permission, Form: o.Form, Valid: o.Valid}
	return counts.accepts(consent, now)
}

// Lifts reports whether a consent lifts an opt-out of a number of these regions at now, for any caller. Both are records.
func (p *Policy) Lifts(regions phone.RegionSet, consent, optOut *Record, now time.Time) bool {
	if p == nil || !optOut.InForce(now) {
		return false
	}
	for i := range p.Countries {
		c := &p.Countries[i]
		if !c.Regions.Intersects(regions) {
			continue
		}
		for _, rule := range slices.Concat(c.Scoped, []*Rule{c.Rule}) {
			if !rule.Scope.Holds(consent.Scope) && !consent.Scope.Holds(rule.Scope) {
				continue
			}
			if _, is := rule.OptOuts.lifts(consent, optOut, rule.OptOuts.Reach.widen(optOut.Scope), now); is {
				return true
			}
		}
	}
	return false
}

// ListRule is what holds for a list, or for lists of one kind.
type ListRule struct {
	Name       string   // of the list; empty: those of Kind
	Kind       ListKind // of the lists whose jurisdiction includes the country, or that have none
	Required   bool     // a list that it is for must be there and cover the number
	MaxAgeDays int      // zero: as the list says. The smaller of the two holds.
	Overridden []Counts // by these consents
	Absent     List     // names the list in the reason that it is not there
	Source     string
}

// listAlone is what holds for a list that no rule is for: what it says itself.
var listAlone = &ListRule{}

// list is the rule for a list.
func (r *Rule) list(l *List) *ListRule {
	found := listAlone
	for i := range r.Lists {
		rule := &r.Lists[i]
		if rule.Name != "" && rule.Name == l.Name {
			return rule
		}
		if rule.Name == "" && rule.Kind == l.Kind && found == listAlone && l.SpeaksFor(r.Regions) {
			found = rule
		}
	}
	return found
}

// Ban is a sector that may not call, with consent or without.
type Ban struct {
	Scope  Scope // of the callers
	Except []Counts
	Source string
}

// stands reports whether the ban is for a caller.
func (b *Ban) stands(caller Scope) bool { return b.Scope.Blocks(caller) }

// ServiceRule says whether calls for service are permitted. They need no consent, and no ban and no hours are for them.
// Opt-outs and lists count as for every call.
type ServiceRule struct {
	Permitted bool
	Source    string
}

// noPolicy is the rule where no policy speaks; unnamed is that of a country which a policy does not name; unread is every rule of
// a policy that cannot be read.
var (
	noPolicy = &Rule{}
	unnamed  = &Rule{missing: true}
	unread   = &Rule{unread: true}
)

// appendRules appends the rules for a call to a number of these regions from a scope. A caller that names no scope has to
// keep every rule of a country. There is always one.
func (p *Policy) appendRules(rules []*Rule, regions phone.RegionSet, caller Scope) []*Rule {
	switch {
	case p == nil:
		return append(rules, noPolicy)
	case p.Unreadable:
		return append(rules, unread)
	}
	left := regions
	for i := range p.Countries {
		c := &p.Countries[i]
		if c.Regions.Intersects(regions) {
			rules = c.appendRules(rules, caller)
			left = left.Without(c.Regions)
		}
	}
	switch {
	case left.IsEmpty() && len(rules) > 0:
	case p.AllowUnnamed:
		rules = append(rules, noPolicy)
	default:
		rules = append(rules, unnamed)
	}
	return rules
}

// AsksPlace reports whether a rule for numbers of these regions asks where the called party is: for its clock, or for the date
// there, by which lists age.
func (p *Policy) AsksPlace(regions phone.RegionSet) bool {
	if p == nil {
		return false
	}
	for i := range p.Countries {
		if c := &p.Countries[i]; c.Regions.Intersects(regions) && c.asksPlace() {
			return true
		}
	}
	return false
}

func (c *Country) asksPlace() bool {
	return c.Rule.asksPlace() || slices.ContainsFunc(c.Scoped, (*Rule).asksPlace)
}

func (r *Rule) asksPlace() bool { return r.Hours != nil || len(r.Lists) > 0 }

func (c *Country) appendRules(rules []*Rule, caller Scope) []*Rule {
	if caller == "" {
		return append(append(rules, c.Rule), c.Scoped...)
	}
	narrowest := c.Rule
	for _, r := range c.Scoped {
		if r.Scope.Holds(caller) && len(r.Scope) >= len(narrowest.Scope) {
			narrowest = r
		}
	}
	return append(rules, narrowest)
}

// stands is the scope at which an opt-out stands against a caller: its own, or the narrowest to which it reaches. False: it does not.
func (r Reach) stands(own, caller Scope) (at Scope, against bool) {
	for reach := ReachScope; reach <= r; reach++ {
		if at = reach.widen(own); at.Blocks(caller) {
			return at, true
		}
	}
	return at, false
}

// widen is the scope at and below which an opt-out counts.
func (r Reach) widen(at Scope) Scope {
	switch r {
	case ReachEveryone:
		return ""
	case ReachBrand:
		return at.Brand()
	}
	return at
}

// doubt is why a list cannot clear the number, also where a consent overrides its entry. Outside of its jurisdiction a list has nothing to clear,
// unless the rule requires it.
func (m *Membership) doubt(rule *ListRule, at *Place, now time.Time) (ReasonKind, Cause) {
	switch {
	case m.Damaged:
		return Damage, DataDamaged
	case m.Outside && !rule.Required:
		return ReasonUnspecified, CauseNone
	case !m.List.Loaded:
		return ListNotLoaded, NotLoaded
	case !m.Covered:
		return ListNotCovering, NotCovered
	case rule.isStale(m.List, at, now):
		return ListStale, StaleList
	}
	return ReasonUnspecified, CauseNone
}

// maxAhead is how far the clocks of a zone may be ahead of UTC.
const maxAhead = 14 * time.Hour

// isStale reports whether a list is too old at now for a person at a place.
func (r *ListRule) isStale(l *List, at *Place, now time.Time) bool {
	from := r.staleInUTC(l)
	return !from.IsZero() && !now.Before(from.Add(-maxAhead)) && !now.Before(r.staleFrom(l, at))
}

// staleFrom is the first instant at which a list is too old: midnight in UTC or, under a rule, where the called party may be,
// if that is earlier.
func (r *ListRule) staleFrom(l *List, at *Place) time.Time {
	from := r.staleInUTC(l)
	if r == listAlone || from.IsZero() {
		return from
	}
	if len(at.Zones) == 0 {
		return from.Add(-maxAhead)
	}
	y, m, d := from.Date()
	for _, zone := range at.Zones {
		from = earlier(from, time.Date(y, m, d, 0, 0, 0, 0, zone.location).UTC())
	}
	return from
}

// staleInUTC is the midnight in UTC from which a list is too old; zero: never.
func (r *ListRule) staleInUTC(l *List) time.Time {
	days := l.MaxAgeDays
	if r.MaxAgeDays > 0 && (days == 0 || r.MaxAgeDays < days) {
		days = r.MaxAgeDays
	}
	aged := List{SnapshotDate: l.SnapshotDate, MaxAgeDays: days}
	return aged.StaleFrom()
}
