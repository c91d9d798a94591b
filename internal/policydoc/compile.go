package policydoc

import (
	"slices"

	"github.com/dncd/dncd/internal/policy"
)

// Compile makes of a document what decisions read, under that version. The holidays are those that it was parsed with.
func (d *Document) Compile(version string, holidays Calendar) *policy.Policy {
	p := &policy.Policy{Version: version, AllowUnnamed: d.AllowUnnamed}
	for i := range d.Countries {
		p.Countries = append(p.Countries, d.Countries[i].compile(holidays))
	}
	return p
}

func (c *Country) compile(holidays Calendar) policy.Country {
	out := policy.Country{Code: c.Code, Regions: regionsOf(c.Code), Rule: c.rule("", holidays)}
	for i := range c.Scopes {
		out.Scoped = append(out.Scoped, c.rule(c.Scopes[i].Scope, holidays))
	}
	return out
}

// rule is the rule for a scope that the document names, or for all others.
func (c *Country) rule(scope policy.Scope, holidays Calendar) *policy.Rule {
	s := c.At(scope)
	r := &policy.Rule{Name: c.Code, Scope: scope, Regions: regionsOf(c.Code)}
	if scope != "" {
		r.Name += " at " + string(scope)
	}
	if s.Consent != nil {
		r.Consent = *s.Consent
	}
	if s.OptOuts != nil {
		r.OptOuts = *s.OptOuts
	}
	if s.Service != nil {
		r.Service = *s.Service
	}
	r.Lists, r.Banned, r.Hours = slices.Clone(s.Lists), s.Banned, s.Hours.compile(c.Code, holidays)
	for i := range r.Lists {
		r.Lists[i].Absent = policy.List{Name: r.Lists[i].Name, Kind: r.Lists[i].Kind}
	}
	return r
}

// At are the sections that hold for callers at a scope.
func (c *Country) At(scope policy.Scope) Sections {
	merged := c.Sections
	for i := range c.Scopes { // ascending: a scope comes after those above it
		if s := &c.Scopes[i]; s.Scope.Holds(scope) {
			merged = merged.with(&s.Sections)
		}
	}
	return merged
}

// with are the sections, replaced by those of o that are there.
func (s Sections) with(o *Sections) Sections {
	if o.Consent != nil {
		s.Consent = o.Consent
	}
	if o.OptOuts != nil {
		s.OptOuts = o.OptOuts
	}
	if o.Lists != nil {
		s.Lists = o.Lists
	}
	if o.Hours != nil {
		s.Hours = o.Hours
	}
	if o.Banned != nil {
		s.Banned = o.Banned
	}
	if o.Service != nil {
		s.Service = o.Service
	}
	if o.Deadlines != nil {
		s.Deadlines = o.Deadlines
	}
	return s
}

func (h *Hours) compile(country string, holidays Calendar) *policy.Hours {
	if h == nil || h.Unchecked {
		return nil
	}
	out := &policy.Hours{Open: h.Open, Source: h.Source}
	if !h.Holidays {
		return out
	}
	// Without a calendar no later day than that of Until is known: every day is closed.
	days := &policy.Holidays{}
	if known, ok := holidays(country); ok {
		days = known
	}
	if h.IgnoreRegional {
		days = withoutRegional(days)
	}
	out.Holidays = days
	return out
}

// withoutRegional are the holidays of the whole country.
func withoutRegional(h *policy.Holidays) *policy.Holidays {
	national := *h
	national.Regional, national.AnyRegion, national.AnyOf = nil, nil, nil
	return &national
}

// Reach is the widest reach that opt-outs have in any rule: what a base of callers must be told.
func Reach(p *policy.Policy) policy.Reach {
	widest := policy.ReachScope
	if p == nil {
		return widest
	}
	for i := range p.Countries {
		for _, r := range rulesOf(&p.Countries[i]) {
			widest = max(widest, r.OptOuts.Reach)
		}
	}
	return widest
}
