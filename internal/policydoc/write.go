package policydoc

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/dncd/dncd/internal/policy"
)

// Write is the document as text: equal documents have the same text, and it reads as the same document.
func (d *Document) Write() []byte {
	m := &tree{}
	m.add("format", plain(strconv.Itoa(Format)))
	m.add("default", plain(pick(defaults, d.AllowUnnamed)))
	countries := &tree{}
	for i := range d.Countries {
		countries.add(d.Countries[i].Code, d.Countries[i].node())
	}
	m.add("countries", countries.block())
	return encode(m.block())
}

func encode(n *yaml.Node) []byte {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		panic(fmt.Sprintf("encode a policy: %v", err)) // it is made of scalars, lists and mappings alone
	}
	return b.Bytes()
}

func (c *Country) node() *yaml.Node {
	m := &tree{}
	if c.AsOf != 0 {
		m.add("as_of", plain(c.AsOf.String()))
	}
	m.add("review", plain(reviews[c.Review]))
	m.text("note", c.Note)
	if len(c.NotChecked) > 0 {
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, s := range c.NotChecked {
			list.Content = append(list.Content, quoted(s))
		}
		m.add("not_checked", list)
	}
	c.Sections.addTo(m)
	if len(c.Scopes) > 0 {
		scopes := &tree{}
		for i := range c.Scopes {
			s := &tree{}
			c.Scopes[i].addTo(s)
			scopes.add(string(c.Scopes[i].Scope), s.block())
		}
		m.add("scopes", scopes.block())
	}
	return m.block()
}

// sectionNames are those of the sections, in the order in which they are written.
var sectionNames = []string{"consent", "opt_outs", "lists", "hours", "banned", "service", "deadlines"}

// section is one of the sections; nil: it is not there.
func (s *Sections) section(name string) *yaml.Node {
	switch {
	case name == "consent" && s.Consent != nil:
		return consentNode(s.Consent)
	case name == "opt_outs" && s.OptOuts != nil:
		return optOutsNode(s.OptOuts)
	case name == "lists" && s.Lists != nil:
		return listNodes(s.Lists)
	case name == "hours" && s.Hours != nil:
		return s.Hours.node()
	case name == "banned" && s.Banned != nil:
		return banNodes(s.Banned)
	case name == "service" && s.Service != nil:
		m := &tree{}
		m.add("permitted", plain(strconv.FormatBool(s.Service.Permitted)))
		m.text("source", s.Service.Source)
		return m.block()
	case name == "deadlines" && s.Deadlines != nil:
		return s.Deadlines.node()
	}
	return nil
}

func (s *Sections) addTo(m *tree) {
	for _, name := range sectionNames {
		if n := s.section(name); n != nil {
			m.add(name, n)
		}
	}
}

func consentNode(c *policy.ConsentRule) *yaml.Node {
	m := &tree{}
	m.add("required", plain(strconv.FormatBool(c.Required)))
	m.counts("counts", c.Counts)
	m.text("source", c.Source)
	return m.block()
}

func optOutsNode(o *policy.OptOutRule) *yaml.Node {
	m := &tree{}
	m.add("reach", plain(reaches[o.Reach]))
	m.add("permission_lifts", plain(strconv.FormatBool(o.PermissionLifts)))
	if o.Form != policy.FormUnspecified {
		m.add("form", plain(consentForms[o.Form]))
	}
	m.period("valid", o.Valid)
	m.text("source", o.Source)
	return m.block()
}

func listNodes(all []policy.ListRule) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range all {
		l, m := &all[i], &tree{}
		if l.Name != "" {
			m.add("list", quoted(l.Name))
		} else {
			m.add("kind", plain(listKinds[l.Kind]))
		}
		m.add("required", plain(strconv.FormatBool(l.Required)))
		if l.MaxAgeDays > 0 {
			m.add("max_age_days", plain(strconv.Itoa(l.MaxAgeDays)))
		}
		m.counts("overridden_by", l.Overridden)
		m.text("source", l.Source)
		list.Content = append(list.Content, m.block())
	}
	return list
}

func (h *Hours) node() *yaml.Node {
	if h.Unchecked {
		return plain(unchecked)
	}
	m := &tree{}
	const days = len(weekdays7)
	for i := 0; i < days; {
		spans, end := h.Open[weekdays7[i]], i+1
		for end < days && slices.Equal(spans, h.Open[weekdays7[end]]) {
			end++
		}
		if len(spans) > 0 {
			key := weekdays[weekdays7[i]]
			if end > i+1 {
				key += "-" + weekdays[weekdays7[end-1]]
			}
			m.add(key, spanNodes(spans))
		}
		i = end
	}
	m.add("holidays", plain(pick(closures, h.Holidays)))
	if h.Holidays {
		m.add("regional_holidays", plain(pick(regional, h.IgnoreRegional)))
	}
	m.text("source", h.Source)
	return m.block()
}

// weekdays7 are the days of a week as people write them, from Monday.
var weekdays7 = [7]int{1, 2, 3, 4, 5, 6, 0}

func spanNodes(spans []policy.Span) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, s := range spans {
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Style: yaml.DoubleQuotedStyle, Value: spanText(s)})
	}
	return list
}

func banNodes(all []policy.Ban) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range all {
		m := &tree{}
		m.add("scope", quoted(string(all[i].Scope)))
		m.counts("except", all[i].Except)
		m.text("source", all[i].Source)
		list.Content = append(list.Content, m.block())
	}
	return list
}

func (d *Deadlines) node() *yaml.Node {
	m := &tree{}
	if d.HonourDays > 0 {
		m.add("honour_opt_outs", plain(honourText(d.HonourDays, d.BusinessDays)))
	}
	m.period("keep_opt_outs", d.KeepOptOuts)
	m.period("keep_proof", d.KeepProof)
	if !d.KeepProof.IsZero() {
		m.add("keep_proof_from", plain(pick(proofs, d.FromEachUse)))
	}
	m.text("source", d.Source)
	return m.block()
}

// tree is a mapping that is being made.
type tree struct{ content []*yaml.Node }

func (m *tree) add(key string, value *yaml.Node) {
	m.content = append(m.content, quoted(key), value)
}

func (m *tree) block() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Content: m.content} }

func (m *tree) text(key, s string) {
	if s != "" {
		m.add(key, quoted(s))
	}
}

func (m *tree) period(key string, p policy.Period) {
	if !p.IsZero() {
		m.add(key, plain(periodText(p)))
	}
}

func (m *tree) counts(key string, all []policy.Counts) {
	if len(all) == 0 {
		return
	}
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range all {
		c := &tree{}
		c.add("kind", plain(consentKinds[all[i].Kind]))
		if f := all[i].Form; f != policy.FormUnspecified {
			c.add("form", plain(consentForms[f]))
		}
		c.period("valid", all[i].Valid)
		c.period("after_end", all[i].AfterEnd)
		n := c.block()
		n.Style = yaml.FlowStyle
		list.Content = append(list.Content, n)
	}
	m.add(key, list)
}

// plain is a value that needs no quotes.
func plain(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

// quoted is a text, with quotes where it would otherwise read as something else.
func quoted(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// pick is the word for false or for true.
func pick(words []string, second bool) string {
	if second {
		return words[1]
	}
	return words[0]
}
