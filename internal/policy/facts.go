package policy

import (
	"time"

	"github.com/dncd/dncd/internal/phone"
)

// EventID names one event of the journal: its revision and its place in it. A record's id is that of its event.
type EventID struct {
	Revision uint64
	Index    uint32
}

// RecordKind is what a record states; the numbers are stored.
type RecordKind uint8

// The kinds of record.
const (
	RecordUnspecified RecordKind = iota
	RecordOptOut
	RecordConsent
)

// Channel is the way an objection came in.
type Channel uint8

// The channels; the numbers are stored.
const (
	ChannelUnspecified Channel = iota
	ChannelCall
	ChannelEmail
	ChannelLetter
	ChannelSMS
	ChannelWeb
	ChannelInPerson
	ChannelOther
)

// Record is one fact about one number, without its story.
type Record struct {
	ID         EventID
	Kind       RecordKind
	Scope      Scope
	Channel    Channel
	ReceivedAt time.Time // of a consent: when it was obtained
	RecordedAt time.Time
	ExpiresAt  time.Time // zero: never
	Consent    *Consent  // of RecordConsent; else nil
}

// InForce reports whether the record holds at now: it does while now is before its expiry.
func (r *Record) InForce(now time.Time) bool { return r.ExpiresAt.IsZero() || now.Before(r.ExpiresAt) }

// ListKind is what a list is.
type ListKind uint8

// The kinds of list; the numbers are stored.
const (
	ListUnspecified ListKind = iota
	ListRegistry             // a national or state registry: must name a jurisdiction and cover the number
	ListSuppression          // another firm's, or a subcontractor's, opt-outs
	ListLitigator            // people known to sue
)

// List is what a decision needs to know of a list.
type List struct {
	Name         string
	Kind         ListKind
	Scope        Scope
	Jurisdiction phone.RegionSet // empty: everywhere
	Loaded       bool            // false: its content has never been visible, or failed its check
	SnapshotDate Date            // the source's own date; zero: none
	MaxAgeDays   int             // zero: no limit
}

// SpeaksFor reports whether it says something of a number of these regions that it is not on the list. A number that is on
// the list is blocked whatever its regions.
func (l *List) SpeaksFor(regions phone.RegionSet) bool {
	return l.Jurisdiction.IsEmpty() || l.Jurisdiction.Intersects(regions)
}

// StaleFrom is the first instant at which the list is too old; zero when it has no maximum age.
// A list of 31 days is good on day 31 and stale on day 32, in UTC. A list with a maximum age and no date is always stale.
func (l *List) StaleFrom() time.Time {
	if l.MaxAgeDays == 0 {
		return time.Time{}
	}
	if l.SnapshotDate == 0 {
		return time.Unix(0, 0).UTC()
	}
	return (l.SnapshotDate + Date(l.MaxAgeDays) + 1).Time()
}

// IsStale reports whether the list is too old at now.
func (l *List) IsStale(now time.Time) bool {
	from := l.StaleFrom()
	return !from.IsZero() && !now.Before(from)
}

// Membership is what one list at or above the caller's scope says of the number.
type Membership struct {
	List    *List
	Listed  bool
	Outside bool // the list does not speak for the number's regions: not listed means nothing
	Covered bool // false: within its jurisdiction and outside its coverage, so that not listed is doubt
	Damaged bool // the entry could not be read
}

// Purpose is what a call is for. The zero value is the purpose with the strictest rule.
type Purpose uint8

// The purposes.
const (
	Marketing Purpose = iota
	Service           // to perform a contract or to answer a request
)

// Place is where the person of a number is, as far as it is known.
type Place struct {
	Zones       []*Zone // where the clock may be theirs; empty: not known. Shared: never changed.
	Subdivision string  // ISO 3166-2, such as FR-IDF; empty: not known
}

// Facts is all that is known about one number, at one revision, for one caller.
type Facts struct {
	Scope   Scope   // the caller's; empty: none named
	Purpose Purpose // of the call
	Regions phone.RegionSet
	Place   Place         // of the called party
	Records []Record      // all that are not withdrawn, at any scope
	Lists   []Membership  // one for each list whose scope stands against the caller's
	Damaged bool          // something that could have blocked could not be read
	Ahead   time.Duration // how far now may be ahead of the true time: an opt-out that expires counts for as much longer

	reasons []Reason // room for those against a call
	grounds []Reason // and for those for one
	rules   []*Rule  // room for those that apply
}

// Reset empties f and keeps its room, so that a check path can use it again.
func (f *Facts) Reset() {
	*f = Facts{Records: f.Records[:0], Lists: f.Lists[:0], reasons: f.reasons[:0], grounds: f.grounds[:0], rules: f.rules[:0]}
}
