// Package policy turns what is known about a number into a verdict.
//
// It promises: Decide is a pure function of facts, policy and time; doubt comes out as Unknown with its cause, never as
// Allow; the zero value of every type here is not callable.
package policy

import "time"

// Verdict answers whether a number may be called. The zero value is not callable.
type Verdict uint8

// The verdicts.
const (
	Unspecified Verdict = iota
	Allow
	Block
	NotNow
	Unknown
)

// severity orders verdicts: where several rules apply, the answer is the most severe.
var severity = [...]int{Allow: 1, NotNow: 2, Unknown: 3, Block: 4, Unspecified: 5}

// Cause says why a verdict is Unknown. Where several hold, the largest is reported.
type Cause uint8

// The causes, in rising precedence.
const (
	CauseNone  Cause = iota
	NoTimeZone       // the clock of the called party is not known, and the rule has calling hours
	StaleList
	NotCovered
	NotLoaded
	NoRule
	PolicyUnreadable // a policy is in force and cannot be read
	DataDamaged
	UseUnrecorded // the call would be permitted, but that it relies on a consent could not be recorded
)

// ReasonKind is what a reason says; the numbers are those of the contract.
type ReasonKind uint8

// The kinds of reason. Those after CallingHours are reasons of an Allow, except BannedSector, UseNotRecorded and PolicyUnread.
const (
	ReasonUnspecified ReasonKind = iota
	OptedOut
	Listed
	ConsentRequired
	ConsentCounts
	ListNotCovering
	ListStale
	ListNotLoaded
	CountryWithoutRule
	Damage
	CallingHours     // closed
	BannedSector     // Block
	ListClear        // asked, and the number is not on it
	HoursOpen        // open by the rule, or by an appointment: then Record is its consent
	HoursNotChecked  // the rule has none
	ServicePermitted // the rule permits calls for service
	NothingSpeaks    // no list and no rule speaks for the number's country
	UseNotRecorded   // of an Unknown: the use of a consent could not be recorded
	PolicyUnread     // of an Unknown: the policy cannot be read
)

// Reason names one thing that a decision rests on.
type Reason struct {
	Kind   ReasonKind
	Cause  Cause   // of an Unknown
	Record *Record // an opt-out or a consent
	List   *List   // with ConsentCounts: the list that it overrode
	Rule   *Rule   // nil: no policy
	Zone   *Zone   // with CallingHours and HoursOpen: whose clock decided; nil: none did
	Source string  // of the part of the rule that speaks
}

// Decision is the verdict with what led to it.
type Decision struct {
	Verdict    Verdict
	Cause      Cause
	Reasons    []Reason  // the deciding ones first; they point into the Facts: valid as long as those
	ValidUntil time.Time // when the passing of time could change the verdict; zero: never
	OpensAt    time.Time // with NotNow: when the hours next open, of several rules the latest; zero: not known
}

// Decide answers for one number at now. A banned sector blocks. An own opt-out in force blocks, unless a later permission
// lifts it. A consent that is required and absent blocks. Then each list is asked: an entry blocks, unless a consent counts
// that the rule lets override the list; the absence of an entry means something only within the list's jurisdiction. Last come
// the calling hours. Block takes precedence over Unknown, Unknown over NotNow, and NotNow over Allow.
//
// Where several rules apply (a number of several countries, a caller that names no scope), the answer is the most severe.
// Decide allocates nothing once f has room.
func Decide(f *Facts, p *Policy, now time.Time) Decision {
	f.rules = p.appendRules(f.rules[:0], f.Regions, f.Scope)
	f.reasons, f.grounds = f.reasons[:0], f.grounds[:0]
	var worst Decision
	var until time.Time
	for i, rule := range f.rules {
		d := decide(f, rule, now)
		until = earlier(until, d.ValidUntil)
		switch {
		case i == 0 || severity[d.Verdict] > severity[worst.Verdict]:
			worst = d
		case d.Verdict == NotNow && worst.Verdict == NotNow:
			worst.OpensAt = latest(worst.OpensAt, d.OpensAt)
		}
	}
	if worst.Verdict != Block {
		worst.ValidUntil = until
	}
	if worst.Verdict == Allow {
		worst.Reasons = tail(f.grounds, 0) // every rule allowed
	}
	return worst
}

// earlier is the earlier of two instants, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// later reports whether a is later than b, where zero means never.
func later(a, b time.Time) bool { return !b.IsZero() && (a.IsZero() || a.After(b)) }

// latest is the later of two instants, where zero means never.
func latest(a, b time.Time) time.Time {
	if later(a, b) {
		return a
	}
	return b
}
