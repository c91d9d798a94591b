// Package policydoc is a policy as people write it: a document in YAML that says for each country which rules hold, and where
// each of them comes from.
//
// It promises: what Parse accepts means one thing, and whatever else it refuses with its line and column; the text that Write
// makes of a document reads as the same document; a change that Loosens does not name permits no call that was not permitted
// before.
package policydoc

import (
	"github.com/dncd/dncd/internal/policy"
)

// Format is the format of documents that this version reads and writes.
const Format = 1

// MaxBytes is how long a document is at most: an event of the journal has room for it.
const MaxBytes = 240 << 10

// Document is a policy as it is written.
type Document struct {
	AllowUnnamed bool      // default: allow
	Countries    []Country // by code
}

// Country is what a document says of one country and its territories.
type Country struct {
	Code       string
	AsOf       policy.Date // when the rules were read; zero: not said
	Review     Review
	Note       string
	NotChecked []string // rules of the country that no check applies, in words
	Sections
	Scopes []Scoped // by scope
}

// Scoped is what differs for callers at a scope and below it. A section that it does not have is that of the scope above it that
// has one, or else the country's.
type Scoped struct {
	Scope policy.Scope
	Sections
}

// Sections are the parts of a rule. One that is nil is not there.
type Sections struct {
	Consent   *policy.ConsentRule
	OptOuts   *policy.OptOutRule
	Lists     []policy.ListRule // by name before by kind
	Hours     *Hours
	Banned    []policy.Ban
	Service   *policy.ServiceRule
	Deadlines *Deadlines
}

// Hours are calling hours.
type Hours struct {
	Unchecked      bool             // there are none; the rest is zero
	Open           [7][]policy.Span // by time.Weekday: ascending, without overlap
	Holidays       bool             // closed on public holidays
	IgnoreRegional bool             // on those of the whole country alone
	Source         string
}

// Deadlines are what a company has to keep to beside its calls. They are for reports: no decision reads them.
type Deadlines struct {
	HonourDays   int           // an opt-out is honoured within so many days; zero: not said
	BusinessDays bool          // which are business days
	KeepOptOuts  policy.Period // from when it was received
	KeepProof    policy.Period // of a consent, from when it was obtained
	FromEachUse  bool          // and from each use
	Source       string
}

// Review says how well the rules of a country are known.
type Review uint8

// The reviews.
const (
	NotReviewed Review = iota // a template
	Secondary                 // from what others wrote of the law: to be read by counsel
	Primary                   // from the law itself
)

// Empty is the document that is in force where none was set: it changes no answer.
func Empty() *Document { return &Document{AllowUnnamed: true} }

// Country is what the document says of a country; nil: it does not name it.
func (d *Document) Country(code string) *Country {
	for i := range d.Countries {
		if d.Countries[i].Code == code {
			return &d.Countries[i]
		}
	}
	return nil
}
