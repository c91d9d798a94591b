package policydoc

import (
	"slices"

	"pgregory.net/rapid"

	"github.com/dncd/dncd/internal/policy"
)

// known has holidays for every country but Spain.
func known(country string) (*policy.Holidays, bool) {
	if country == "ES" {
		return nil, false
	}
	from := policy.Date(20_790) // 2026-12-03
	h := &policy.Holidays{
		National:  []policy.Date{from + 1},
		Regional:  map[string][]policy.Date{country + "-1": {from + 2}},
		AnyRegion: []policy.Date{from + 2},
		Until:     from + 400,
	}
	return h, true
}

var scopes = []policy.Scope{"acme", "acme/energy", "acme/energy/winter", "acme/telecom", "other"}

func drawPeriod(t *rapid.T) policy.Period {
	return rapid.SampledFrom([]policy.Period{{}, {Months: 1}, {Months: 3}, {Months: 12}, {Days: 31}, {Months: 36, Days: 14}, {Days: 7}}).Draw(t, "period")
}

func drawText(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "the law", "a: b # c", "true", "- x", "31", "'quoted' \"twice\"", "d'État\nsecond line"}).Draw(t, "text")
}

func drawCounts(t *rapid.T, least int) (all []policy.Counts) {
	for range rapid.IntRange(least, 2).Draw(t, "counts") {
		c := policy.Counts{Kind: rapid.SampledFrom([]policy.ConsentKind{policy.Permission, policy.Purchase, policy.Inquiry, policy.Contract}).Draw(t, "kind"), Valid: drawPeriod(t)}
		switch c.Kind {
		case policy.Permission:
			c.Form = policy.ConsentForm(rapid.IntRange(0, 2).Draw(t, "form"))
		case policy.Contract:
			c.AfterEnd = drawPeriod(t)
		}
		if !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}

func drawConsent(t *rapid.T) *policy.ConsentRule {
	c := &policy.ConsentRule{Required: rapid.Bool().Draw(t, "required"), Source: drawText(t)}
	least := 0
	if c.Required {
		least = 1
	}
	c.Counts = drawCounts(t, least)
	return c
}

func drawOptOuts(t *rapid.T) *policy.OptOutRule {
	o := &policy.OptOutRule{
		Reach:           policy.Reach(rapid.IntRange(0, 2).Draw(t, "reach")),
		PermissionLifts: rapid.Bool().Draw(t, "lifts"),
		Source:          drawText(t),
	}
	if o.PermissionLifts {
		o.Form, o.Valid = policy.ConsentForm(rapid.IntRange(0, 2).Draw(t, "form")), drawPeriod(t)
	}
	return o
}

func drawLists(t *rapid.T) []policy.ListRule {
	all := []policy.ListRule{}
	rule := func() policy.ListRule {
		r := policy.ListRule{Required: rapid.Bool().Draw(t, "required"), Source: drawText(t)}
		if len(all) > 0 && rapid.Bool().Draw(t, "as the one before") {
			last := all[len(all)-1]
			r.MaxAgeDays, r.Overridden = last.MaxAgeDays, last.Overridden
			return r
		}
		r.MaxAgeDays, r.Overridden = rapid.SampledFrom([]int{0, 28, 31}).Draw(t, "age"), drawCounts(t, 0)
		return r
	}
	for _, name := range []string{"donotcall", "reunion", "tps"} {
		if rapid.Bool().Draw(t, name) {
			r := rule()
			r.Name = name
			all = append(all, r)
		}
	}
	for _, kind := range []policy.ListKind{policy.ListRegistry, policy.ListSuppression} {
		if rapid.Bool().Draw(t, "kind") {
			r := rule()
			r.Kind = kind
			all = append(all, r)
		}
	}
	return all
}

func drawHours(t *rapid.T, country string) *Hours {
	if rapid.IntRange(0, 3).Draw(t, "unchecked") == 0 {
		return &Hours{Unchecked: true}
	}
	h := &Hours{Source: drawText(t)}
	some := [][]policy.Span{nil, {{From: 540, To: 1260}}, {{From: 600, To: 780}, {From: 840, To: 1200}}, {{From: 0, To: 1440}}}
	for day := range h.Open {
		h.Open[day] = rapid.SampledFrom(some).Draw(t, "day")
	}
	if !slices.ContainsFunc(h.Open[:], func(s []policy.Span) bool { return s != nil }) {
		h.Open[3] = some[1]
	}
	_, has := known(country)
	h.Holidays = has && rapid.Bool().Draw(t, "holidays")
	h.IgnoreRegional = h.Holidays && rapid.Bool().Draw(t, "ignore regional")
	return h
}

func drawBans(t *rapid.T) []policy.Ban {
	all := []policy.Ban{}
	for range rapid.IntRange(0, 2).Draw(t, "bans") {
		scope := rapid.SampledFrom(append([]policy.Scope{""}, scopes...)).Draw(t, "scope")
		all = append(all, policy.Ban{Scope: scope, Except: drawCounts(t, 0), Source: drawText(t)})
	}
	return all
}

// section draws one of the sections anew.
var drawSection = map[string]func(t *rapid.T, s *Sections, country string){
	"consent":  func(t *rapid.T, s *Sections, _ string) { s.Consent = drawConsent(t) },
	"opt_outs": func(t *rapid.T, s *Sections, _ string) { s.OptOuts = drawOptOuts(t) },
	"lists":    func(t *rapid.T, s *Sections, _ string) { s.Lists = drawLists(t) },
	"hours":    func(t *rapid.T, s *Sections, country string) { s.Hours = drawHours(t, country) },
	"banned":   func(t *rapid.T, s *Sections, _ string) { s.Banned = drawBans(t) },
	"service": func(t *rapid.T, s *Sections, _ string) {
		s.Service = &policy.ServiceRule{Permitted: rapid.Bool().Draw(t, "permitted"), Source: drawText(t)}
	},
	"deadlines": func(t *rapid.T, s *Sections, _ string) { s.Deadlines = drawDeadlines(t) },
}

func drawDeadlines(t *rapid.T) *Deadlines {
	d := &Deadlines{HonourDays: rapid.SampledFrom([]int{0, 1, 14}).Draw(t, "honour"), KeepOptOuts: drawPeriod(t), KeepProof: drawPeriod(t), Source: drawText(t)}
	d.BusinessDays = d.HonourDays > 0 && rapid.Bool().Draw(t, "business")
	d.FromEachUse = !d.KeepProof.IsZero() && rapid.Bool().Draw(t, "each use")
	return d
}

func drawSections(t *rapid.T, country string, per int) (s Sections) {
	for _, name := range sectionNames {
		if rapid.IntRange(0, per).Draw(t, name) == 0 {
			drawSection[name](t, &s, country)
		}
	}
	return s
}

func drawCountry(t *rapid.T, code string) Country {
	c := Country{
		Code:     code,
		AsOf:     policy.Date(rapid.SampledFrom([]int{0, 20_787}).Draw(t, "as of")),
		Review:   Review(rapid.IntRange(0, 2).Draw(t, "review")),
		Note:     drawText(t),
		Sections: drawSections(t, code, 1),
	}
	if rapid.Bool().Draw(t, "not checked") {
		c.NotChecked = []string{"attempts", drawText(t)}
	}
	for _, scope := range scopes {
		if rapid.IntRange(0, 4).Draw(t, "scoped") == 0 {
			c.Scopes = append(c.Scopes, Scoped{Scope: scope, Sections: drawSections(t, code, 3)})
		}
	}
	return c
}

func drawDocument(t *rapid.T) *Document {
	d := &Document{AllowUnnamed: rapid.Bool().Draw(t, "default")}
	for _, code := range []string{"CA", "ES", "FR", "US"} {
		if rapid.Bool().Draw(t, code) {
			d.Countries = append(d.Countries, drawCountry(t, code))
		}
	}
	return d
}

// tweakCounts changes little in what counts.
func tweakCounts(t *rapid.T, all []policy.Counts) []policy.Counts {
	all = slices.Clone(all)
	if len(all) == 0 || rapid.IntRange(0, 4).Draw(t, "add") == 0 {
		return drawCounts(t, 1)
	}
	i := rapid.IntRange(0, len(all)-1).Draw(t, "at")
	c := &all[i]
	switch what := rapid.IntRange(0, 2).Draw(t, "of counts"); {
	case what == 0 && c.Kind == policy.Permission:
		c.Form = policy.ConsentForm(rapid.IntRange(0, 2).Draw(t, "form"))
	case what == 1 && c.Kind == policy.Contract:
		c.AfterEnd = drawPeriod(t)
	default:
		c.Valid = drawPeriod(t)
	}
	return all
}

// tweakSection changes one thing in a section that is there.
var tweakSection = map[string]func(t *rapid.T, s *Sections){
	"consent": func(t *rapid.T, s *Sections) {
		c := *s.Consent
		if c.Counts = tweakCounts(t, c.Counts); rapid.IntRange(0, 4).Draw(t, "required") == 0 {
			c.Required = !c.Required
		}
		s.Consent = &c
	},
	"opt_outs": func(t *rapid.T, s *Sections) {
		o := *s.OptOuts
		switch {
		case rapid.Bool().Draw(t, "of reach"):
			o.Reach = policy.Reach(rapid.IntRange(0, 2).Draw(t, "reach"))
		case o.PermissionLifts:
			o.Form, o.Valid = policy.ConsentForm(rapid.IntRange(0, 2).Draw(t, "form")), drawPeriod(t)
		}
		s.OptOuts = &o
	},
	"lists": func(t *rapid.T, s *Sections) {
		all := slices.Clone(s.Lists)
		if len(all) == 0 {
			s.Lists = drawLists(t)
			return
		}
		i := rapid.IntRange(0, len(all)-1).Draw(t, "at")
		switch l := &all[i]; rapid.IntRange(0, 4).Draw(t, "of list") {
		case 0:
			l.Required = !l.Required
		case 1:
			l.MaxAgeDays = rapid.SampledFrom([]int{0, 28, 31}).Draw(t, "age")
		case 2:
			l.Overridden = tweakCounts(t, l.Overridden)
		case 3:
			all = slices.Delete(all, i, i+1)
		case 4: // a list has a rule of its own, which requires less than that for its kind
			if !slices.ContainsFunc(all, func(r policy.ListRule) bool { return r.Name == "reunion" }) {
				all = append(all, policy.ListRule{Name: "reunion", MaxAgeDays: l.MaxAgeDays, Source: drawText(t)})
			}
		}
		s.Lists = all
	},
	"hours": func(t *rapid.T, s *Sections) {
		h := *s.Hours
		switch {
		case h.Unchecked:
		case h.Holidays && rapid.Bool().Draw(t, "of regional holidays"):
			h.IgnoreRegional = !h.IgnoreRegional
		case h.Holidays && rapid.Bool().Draw(t, "of holidays"):
			h.Holidays, h.IgnoreRegional = false, false
		default:
			h.Open[5] = []policy.Span{{From: 60 * rapid.IntRange(8, 11).Draw(t, "from"), To: 60 * rapid.IntRange(12, 22).Draw(t, "to")}}
		}
		s.Hours = &h
	},
	"banned": func(t *rapid.T, s *Sections) {
		all := slices.Clone(s.Banned)
		if len(all) == 0 {
			s.Banned = drawBans(t)
			return
		}
		b := &all[0]
		if rapid.Bool().Draw(t, "of scope") {
			b.Scope = rapid.SampledFrom(append([]policy.Scope{""}, scopes...)).Draw(t, "scope")
		} else {
			b.Except = tweakCounts(t, b.Except)
		}
		s.Banned = all
	},
}
