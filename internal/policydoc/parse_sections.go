package policydoc

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/dncd/dncd/internal/policy"
)

// maxAge is the largest max_age_days.
const maxAge = 36500

func (p *parser) consent(n *yaml.Node) *policy.ConsentRule {
	var c policy.ConsentRule
	p.mapping(n, "consent", fields{
		"required": p.bool("required", &c.Required),
		"counts":   func(n *yaml.Node) { c.Counts = p.counts(n, "counts") },
		"source":   p.text("source", &c.Source),
	})
	if c.Required && len(c.Counts) == 0 && n.Kind == yaml.MappingNode {
		p.wrong(n, "a consent is required and none counts: add counts, such as [{kind: permission}]")
	}
	return &c
}

// counts reads which consents count for something.
func (p *parser) counts(n *yaml.Node, what string) (all []policy.Counts) {
	p.items(n, what, func(item *yaml.Node) {
		var c policy.Counts
		p.mapping(item, what, fields{
			"kind":      word(&p.reader, "kind", consentKinds, &c.Kind),
			"form":      word(&p.reader, "form", consentForms, &c.Form),
			"valid":     p.period("valid", &c.Valid),
			"after_end": p.period("after_end", &c.AfterEnd),
		})
		switch {
		case c.Kind == policy.ConsentUnspecified:
			if item.Kind == yaml.MappingNode && !hasKey(item, "kind") {
				p.wrong(item, "kind is missing: %s", strings.Join(consentKinds[1:], ", "))
			}
		case c.Form != policy.FormUnspecified && c.Kind != policy.Permission:
			p.wrong(item, "only a permission has a form")
		case !c.AfterEnd.IsZero() && c.Kind != policy.Contract:
			p.wrong(item, "only a contract counts after its end")
		case slices.Contains(all, c):
			p.wrong(item, "the same is there twice in %s", what)
		}
		all = append(all, c)
	})
	return all
}

func hasKey(n *yaml.Node, key string) bool {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return true
		}
	}
	return false
}

func (p *parser) optOuts(n *yaml.Node) *policy.OptOutRule {
	var o policy.OptOutRule
	p.mapping(n, "opt_outs", fields{
		"reach":            word(&p.reader, "reach", reaches, &o.Reach),
		"permission_lifts": p.bool("permission_lifts", &o.PermissionLifts),
		"form":             word(&p.reader, "form", consentForms, &o.Form),
		"valid":            p.period("valid", &o.Valid),
		"source":           p.text("source", &o.Source),
	})
	if !o.PermissionLifts && (o.Form != policy.FormUnspecified || !o.Valid.IsZero()) {
		p.wrong(n, "form and valid are of the permission that lifts an opt-out: add permission_lifts: true, or remove them")
	}
	return &o
}

func (p *parser) lists(n *yaml.Node) []policy.ListRule {
	all := []policy.ListRule{}
	p.items(n, "lists", func(item *yaml.Node) {
		l := p.list(item)
		if slices.ContainsFunc(all, func(o policy.ListRule) bool { return o.Name == l.Name && o.Kind == l.Kind }) {
			p.wrong(item, "there are two rules for the same list or kind of list")
		}
		all = append(all, l)
	})
	slices.SortStableFunc(all, func(a, b policy.ListRule) int {
		if (a.Name == "") != (b.Name == "") {
			return cmp.Compare(b.Name, a.Name)
		}
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

func (p *parser) list(n *yaml.Node) policy.ListRule {
	var l policy.ListRule
	p.mapping(n, "a rule for lists", fields{
		"list":          p.text("list", &l.Name),
		"kind":          word(&p.reader, "kind", listKinds, &l.Kind),
		"required":      p.bool("required", &l.Required),
		"max_age_days":  p.number("max_age_days", maxAge, &l.MaxAgeDays),
		"overridden_by": func(n *yaml.Node) { l.Overridden = p.counts(n, "overridden_by") },
		"source":        p.text("source", &l.Source),
	})
	switch {
	case n.Kind != yaml.MappingNode:
	case hasKey(n, "list") == hasKey(n, "kind"):
		p.wrong(n, "a rule for lists names either one list, with list, or a kind: %s", strings.Join(listKinds[1:], ", "))
	case hasKey(n, "list") && !policy.IsName(l.Name):
		p.wrong(n, "%q is no name of a list: see dnc list ls", l.Name)
	}
	return l
}

func (p *parser) hours(n *yaml.Node, country string) *Hours {
	h := &Hours{}
	if n.Kind == yaml.ScalarNode && n.Value == unchecked {
		h.Unchecked = true
		return h
	}
	given, regionalGiven, before := [7]bool{}, false, len(p.problems)
	p.pairs(n, "hours", func(key, value *yaml.Node) {
		switch key.Value {
		case "holidays":
			p.choice("holidays", closures, &h.Holidays)(value)
			if _, known := p.holidays(country); h.Holidays && !known {
				p.wrong(value, "the public holidays of %s are not known to this version: write holidays: ignored, and keep to them otherwise", country)
			}
		case "regional_holidays":
			regionalGiven = true
			p.choice("regional_holidays", regional, &h.IgnoreRegional)(value)
		case "source":
			p.text("source", &h.Source)(value)
		default:
			p.openDays(key, value, h, &given)
		}
	})
	switch {
	case len(p.problems) > before:
	case regionalGiven && !h.Holidays:
		p.wrong(n, "regional_holidays are those of holidays: closed: add that, or remove them")
	case !slices.ContainsFunc(h.Open[:], func(s []policy.Span) bool { return len(s) > 0 }):
		p.wrong(n, `no day is open, so no call would ever be permitted: add days, such as mon-fri: ["9:00-21:00"]`)
	}
	return h
}

// unchecked is what stands for calling hours where there are none.
const unchecked = "not checked"

func (p *parser) openDays(key, value *yaml.Node, h *Hours, given *[7]bool) {
	days, ok := parseDays(key.Value)
	if !ok {
		p.wrong(key, "hours has no key %q: it has days such as mon or mon-fri, holidays, regional_holidays, source", key.Value)
		return
	}
	spans := p.spans(value)
	for _, day := range days {
		if given[day] {
			p.wrong(key, "%s is there twice", weekdays[day])
		}
		given[day], h.Open[day] = true, spans
	}
}

// spans reads the parts of a day that are open.
func (p *parser) spans(n *yaml.Node) (all []policy.Span) {
	p.items(n, "open hours", func(item *yaml.Node) {
		text, ok := p.scalar(item, "open hours")
		if !ok {
			return
		}
		s, ok := parseSpan(text)
		if !ok {
			p.wrong(item, `open hours must be written as "9:00-21:30", not %q`, text)
			return
		}
		for _, o := range all {
			if s.From < o.To && o.From < s.To {
				p.wrong(item, "%s overlaps %s", spanText(s), spanText(o))
			}
		}
		all = append(all, s)
	})
	slices.SortFunc(all, func(a, b policy.Span) int { return a.From - b.From })
	return all
}

func (p *parser) banned(n *yaml.Node) []policy.Ban {
	all := []policy.Ban{}
	p.items(n, "banned", func(item *yaml.Node) {
		var b policy.Ban
		p.mapping(item, "a ban", fields{
			"scope":  func(n *yaml.Node) { b.Scope = p.scope(n, "scope") },
			"except": func(n *yaml.Node) { b.Except = p.counts(n, "except") },
			"source": p.text("source", &b.Source),
		})
		if item.Kind == yaml.MappingNode && !hasKey(item, "scope") {
			p.wrong(item, `scope is missing: who may not call, such as acme/energy; "" is everyone`)
		}
		all = append(all, b)
	})
	return all
}

func (p *parser) service(n *yaml.Node) *policy.ServiceRule {
	var s policy.ServiceRule
	p.mapping(n, "service", fields{
		"permitted": p.bool("permitted", &s.Permitted),
		"source":    p.text("source", &s.Source),
	})
	return &s
}

func (p *parser) deadlines(n *yaml.Node) *Deadlines {
	var d Deadlines
	p.mapping(n, "deadlines", fields{
		"honour_opt_outs": func(n *yaml.Node) {
			s, ok := p.scalar(n, "honour_opt_outs")
			if !ok {
				return
			}
			if d.HonourDays, d.BusinessDays, ok = parseHonour(s); !ok {
				p.wrong(n, "honour_opt_outs must be days such as 14 days or 10 business days, not %q", s)
			}
		},
		"keep_opt_outs":   p.period("keep_opt_outs", &d.KeepOptOuts),
		"keep_proof":      p.period("keep_proof", &d.KeepProof),
		"keep_proof_from": p.choice("keep_proof_from", proofs, &d.FromEachUse),
		"source":          p.text("source", &d.Source),
	})
	if d.FromEachUse && d.KeepProof.IsZero() {
		p.wrong(n, "keep_proof_from says from when keep_proof counts: add keep_proof, or remove it")
	}
	return &d
}
