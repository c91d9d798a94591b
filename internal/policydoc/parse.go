package policydoc

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
)

// Calendar is the public holidays of a country, by its code, if they are known.
type Calendar func(country string) (*policy.Holidays, bool)

// Parse reads a document. The error is an *Error: every problem has its line and column.
func Parse(text []byte, holidays Calendar) (*Document, error) {
	p := parser{holidays: holidays, doc: &Document{}, owner: map[phone.Region]string{}}
	if root := p.root(text, MaxBytes); root != nil {
		p.document(root)
	}
	if err := p.result(); err != nil {
		return nil, err
	}
	return p.doc, nil
}

type parser struct {
	reader
	holidays Calendar
	doc      *Document
	owner    map[phone.Region]string // the country of the document that each region belongs to
}

func (p *parser) document(n *yaml.Node) {
	format := 0
	given := map[string]bool{}
	note := func(key string, read func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) { given[key] = true; read(n) }
	}
	p.mapping(n, "a policy", fields{
		"format":    note("format", p.number("format", 1<<30, &format)),
		"default":   note("default", p.choice("default", defaults, &p.doc.AllowUnnamed)),
		"countries": p.countries,
	})
	switch {
	case n.Kind != yaml.MappingNode:
	case !given["format"]:
		p.wrong(n, "format is missing: write format: %d", Format)
	case format > Format:
		p.wrong(n, "format %d is newer than this version reads, which is %d: update dncd and dnc", format, Format)
	case !given["default"]:
		p.wrong(n, "default is missing: what of countries that are not named? Write default: unknown or default: allow")
	}
}

func (p *parser) countries(n *yaml.Node) {
	p.pairs(n, "countries", func(key, value *yaml.Node) {
		region, err := phone.ParseRegion(key.Value)
		if err != nil {
			p.wrong(key, "%q is no country: write its two letters of ISO 3166, such as FR", key.Value)
			return
		}
		c := Country{Code: region.String()}
		if p.claim(key, c.Code) {
			p.country(value, &c)
		}
		p.doc.Countries = append(p.doc.Countries, c)
	})
	slices.SortFunc(p.doc.Countries, func(a, b Country) int { return strings.Compare(a.Code, b.Code) })
}

// claim takes the regions of a country, unless another has one of them.
func (p *parser) claim(key *yaml.Node, code string) bool {
	for region := range regionsOf(code).All() {
		other, taken := p.owner[region]
		switch {
		case taken && other == code:
			p.wrong(key, "%s is there twice", code)
			return false
		case taken:
			p.wrong(key, "%s has rules of both %s and %s: a territory belongs to one country of a policy", region, other, code)
			return false
		}
		p.owner[region] = code
	}
	return true
}

// regionsOf are a country and its territories.
func regionsOf(code string) phone.RegionSet {
	regions, err := phone.Jurisdiction(code)
	if err != nil {
		return phone.RegionSet{}
	}
	return regions
}

func (p *parser) country(n *yaml.Node, c *Country) {
	known := p.sections(&c.Sections, c.Code)
	known["as_of"] = p.date("as_of", &c.AsOf)
	known["review"] = word(&p.reader, "review", reviews, &c.Review)
	known["note"] = p.text("note", &c.Note)
	known["not_checked"] = func(n *yaml.Node) {
		p.items(n, "not_checked", func(item *yaml.Node) {
			var s string
			p.text("not_checked", &s)(item)
			c.NotChecked = append(c.NotChecked, s)
		})
	}
	known["scopes"] = func(n *yaml.Node) { p.scopes(n, c) }
	p.mapping(n, "a country", known)
}

func (p *parser) scopes(n *yaml.Node, c *Country) {
	p.pairs(n, "scopes", func(key, value *yaml.Node) {
		s := Scoped{Scope: p.scope(key, "a scope")}
		if s.Scope == "" {
			if key.Value == "" {
				p.wrong(key, "a scope must be a path such as acme/telecom: what is for everyone belongs to the country")
			}
			return
		}
		if slices.ContainsFunc(c.Scopes, func(o Scoped) bool { return o.Scope == s.Scope }) {
			p.wrong(key, "scope %s is there twice", s.Scope)
			return
		}
		p.mapping(value, "a scope", p.sections(&s.Sections, c.Code))
		c.Scopes = append(c.Scopes, s)
	})
	slices.SortFunc(c.Scopes, func(a, b Scoped) int { return cmp.Compare(a.Scope, b.Scope) })
}

// sections says who reads the sections of a rule.
func (p *parser) sections(s *Sections, country string) fields {
	return fields{
		"consent":   func(n *yaml.Node) { s.Consent = p.consent(n) },
		"opt_outs":  func(n *yaml.Node) { s.OptOuts = p.optOuts(n) },
		"lists":     func(n *yaml.Node) { s.Lists = p.lists(n) },
		"hours":     func(n *yaml.Node) { s.Hours = p.hours(n, country) },
		"banned":    func(n *yaml.Node) { s.Banned = p.banned(n) },
		"service":   func(n *yaml.Node) { s.Service = p.service(n) },
		"deadlines": func(n *yaml.Node) { s.Deadlines = p.deadlines(n) },
	}
}
